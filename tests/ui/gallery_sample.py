"""What the component gallery shows: the reference shop's release in the middle of its life."""

from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone

from portal.ui.looks import GRADES, STATES

DIGEST = "sha256:3f9ac1e07b5d4e22a8f1c6d90b7e35aa14c2f8e6d7b09c3351e8a4f2b6c7d8e1"


class SampleForm(forms.Form):
    """One field of each kind, two of them wrong."""

    title = forms.CharField(label="제목", help_text="60자까지. 공지 첫 줄에 나옵니다.", max_length=60)
    environment = forms.ChoiceField(label="환경", choices=[("prod", "prod"), ("staging", "staging")])
    reason = forms.CharField(label="낮추는 이유", widget=forms.Textarea, required=True)
    facts = forms.MultipleChoiceField(
        label="사실",
        choices=[("db", "DB 변경"), ("api", "새 API")],
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    confirm = forms.BooleanField(label="공지 문구를 확인했습니다", required=False)


def sample() -> dict[str, Any]:
    """Build the gallery's data around now."""
    return {**_frame(), **_release(), **_rollout(), **_words()}


def _frame() -> dict[str, Any]:
    now = timezone.now()
    return {
        "banner": "배포 1건이 기다립니다",
        "banner_text": "web 실패로 일시정지했습니다.",
        "title": "주문 API 2.8.0 외 2",
        "soon": now + timedelta(hours=5),
        "due": now + timedelta(minutes=1.5),
        "life": [
            {"label": "작성", "status": "done", "note": "10:02 김민지"},
            {"label": "검토 승인", "status": "wait", "note": "커머스 팀장 대기"},
            {"label": "배포", "status": "next", "note": "화 14:00"},
            {"label": "검증", "status": "next", "note": ""},
            {"label": "결과 확인", "status": "next", "note": ""},
            {"label": "공지", "status": "next", "note": ""},
        ],
        "inbox_title": "할 일",
        "trouble_title": "문제",
        "rows": [
            _row(142, "결제 3종", "failed", "D", "3/5 실패: 이미지를 받지 못함", now - timedelta(minutes=2)),
            _row(145, "주문 API 2.8.0 외 2", "in_review", "D", "커머스 팀장", now + timedelta(hours=4)),
            _row(139, "로그인 장애 수정", "review_owed", "E", "사후 검토 (A 대신)", now + timedelta(hours=3)),
            _row(
                147,
                "아주-긴-이름의-서비스-recommendation-personalizer 1.4.2",
                "qa_check",
                "C",
                "QA 2/5 남음",
                now + timedelta(days=1),
            ),
        ],
    }


def _row(number: int, title: str, state: str, grade: str, note: str, at: object) -> dict[str, object]:
    return {"number": number, "title": title, "state": state, "grade": grade, "note": note, "at": at}


ITEMS = [
    {"service": "order-api", "core": True, "old": "2.7.4", "new": "2.8.0", "state": "healthy"},
    {"service": "web", "core": False, "old": "5.1.0", "new": "5.2.0", "state": "degraded"},
    {"service": "notification", "core": False, "old": "", "new": "1.4.2", "state": "unknown"},
]
NEEDS = [
    {
        "role": "team_lead",
        "scope": "회원",
        "person": "박서준",
        "acting_for": "이하늘",
        "state": "approved",
        "note": "",
    },
    {
        "role": "team_lead",
        "scope": "커머스",
        "person": "나",
        "state": "open",
        "mine": True,
        "note": "18:00까지",
    },
    {
        "role": "infra_senior",
        "scope": "",
        "person": "",
        "state": "nobody_can",
        "note": "맡은 사람이 모두 작성자입니다.",
    },
]


def _release() -> dict[str, Any]:
    return {
        "changes_title": "바뀌는 것",
        "columns": ["서비스", "버전", "다이제스트", "상태"],
        "core": "핵심",
        "items": [{**item, "digest": DIGEST} for item in ITEMS],
        "old": "replicas: 4\nimage: order-api:2.7.4\nenv:\n  - LOG_LEVEL=info\n",
        "new": "replicas: 4\nimage: order-api:2.8.0\nenv:\n  - LOG_LEVEL=info\n  - ORDER_CANCEL_REASON=on\n",
        "approval_title": "승인",
        "needs": NEEDS,
        "facts": [("작성자", "김민지"), ("환경", "prod"), ("DB 변경", "Y"), ("되돌리기", "4분 (DB 제외)")],
        "digest": DIGEST,
        "timeline": _timeline(),
    }


def _timeline() -> list[dict[str, Any]]:
    now = timezone.now()
    approved = {"tone": "ok", "shape": "check", "who": "박서준", "what": "승인"}
    return [
        {**approved, "at": now - timedelta(minutes=12), "said": "시험 결과를 확인했습니다."},
        {
            "tone": "wait",
            "shape": "ring",
            "who": "김민지",
            "what": "검토 요청",
            "at": now - timedelta(hours=3),
        },
        {
            "tone": "mute",
            "shape": "dashed-ring",
            "who": "김민지",
            "what": "초안",
            "at": now - timedelta(days=2),
        },
    ]


def _rollout() -> dict[str, Any]:
    return {
        "left": "약 9분 남음",
        "waves": [
            {"title": "1", "members": [{"name": "config-service", "state": "succeeded", "note": "2/2"}]},
            {
                "title": "2",
                "members": [
                    {"name": "auth-service", "state": "succeeded", "note": "3/3"},
                    {"name": "member", "state": "succeeded", "note": "2/2"},
                ],
            },
            {
                "title": "3",
                "members": [
                    {"name": "order-api", "state": "running", "note": "2/4"},
                    {"name": "web", "state": "failed", "note": "0/3"},
                    {"name": "recommendation-personalizer", "state": "paused", "note": "1/3"},
                ],
            },
            {"title": "4", "members": [{"name": "gateway", "state": "waiting", "note": ""}]},
        ],
        "why": "왜 실패했나: web (40초)",
        "why_text": "이미지를 받지 못했습니다. order-api가 끝나면 멈춥니다.",
        "log": "14:02:11 Pulling image registry/web@sha256:3f9a…e1\n"
        "14:02:13 Failed to pull image: not found\n14:02:13 Back-off pulling image",
        "states": list(STATES),
        "grades": list(GRADES),
        "shapes": sorted({look.shape for look in STATES.values()}),
        "blue": "파랑",
        "green": "초록",
    }


CHECKS = [
    {
        "kind": "done",
        "shape": "check",
        "text": "CI 시험 통과",
        "who": "자동",
        "evidence": "3/3, 10:20",
    },
    {"kind": "open", "shape": "ring", "text": "시험 기록 추가", "who": "김민지"},
    {
        "kind": "failed",
        "shape": "octagon-cross",
        "text": "결제 흐름",
        "who": "QA",
        "evidence": "취소 사유 비어 있음",
    },
    {"kind": "off", "shape": "dash", "text": "DB 백업", "who": "해당 없음"},
]


def _words() -> dict[str, Any]:
    form = SampleForm({"title": "", "environment": "prod", "reason": "", "facts": ["db"], "confirm": "on"})
    form.is_valid()
    return {
        "form": form,
        "approve": "승인",
        "send_back": "보완 요청",
        "reject": "거절",
        "stop": "중지",
        "start": "배포 시작",
        "retry": "재시도",
        "skip": "건너뛰기",
        "roll_back": "롤백",
        "quiet": "복제",
        "discard": "삭제",
        "submit": "검토 요청",
        "back": "돌아가기",
        "why_not": "커머스 팀장의 승인이 남았습니다.",
        "grade_choice": "등급",
        "ok_text": "승인한 것과 정확히 같습니다.",
        "wait_title": "보는 동안 바뀌었습니다.",
        "wait_text": "차이를 보고 결정하세요.",
        "act_text": "배포를 요청했습니다. 곧 시작합니다.",
        "problem_title": "배포를 시작하지 못했습니다",
        "problem_text": "금지 기간 '연말'이 1월 2일 09:00까지입니다. 그 뒤로 예약하세요.",
        "problem_next": "다음 창에 예약",
        "checks": CHECKS,
        "empty": "기다리는 일이 없습니다.",
        "empty_next": "배포 작성",
        "filters": ["모두", "검토 중", "배포 중", "끝남"],
        "panel_title": "왜 중지하나요? 고르면 바로 중지합니다.",
        "panel_text": "지금 하는 호출이 끝나면 더 시작하지 않습니다. 이미 바뀐 서비스는 그대로 둡니다.",
        "reasons": ["지표 악화", "오류 확인", "잘못된 버전", "기타"],
        "bar_why": "이 내용 그대로 승인합니다. 바뀌면 무효입니다.",
    }
