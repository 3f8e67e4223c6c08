"""Addresses of the release pages; every panel is a page of its own."""

from django.urls import path

from releases.views import compose, gates, lists, release, review, schedule

app_name = "releases"
urlpatterns = [
    path("", lists.release_list, name="list"),
    path("new/", compose.new_release, name="new"),
    path("unseen/", lists.unseen_rows, name="unseen"),
    path("<int:number>/", release.detail, name="detail"),
    path("<int:number>/row/", lists.release_row, name="row"),
    path("<int:number>/edit/", compose.edit, name="edit"),
    path("<int:number>/edit/<slug:name>/", compose.save_part, name="save"),
    path("<int:number>/preview/", compose.preview, name="preview"),
    path("<int:number>/submit/", release.submit, name="submit"),
    path("<int:number>/withdraw/", release.withdraw, name="withdraw"),
    path("<int:number>/duplicate/", release.duplicate, name="duplicate"),
    path("<int:number>/carry/<str:environment>/", release.carry, name="carry"),
    path("<int:number>/schedule/", schedule.schedule, name="schedule"),
    path("<int:number>/unschedule/", schedule.unschedule, name="unschedule"),
    path("<int:number>/announce/", release.announce, name="announce"),
    path("<int:number>/close/", release.close, name="close"),
    path("<int:number>/checklist/<int:check_id>/", release.check, name="check"),
    path("<int:number>/gates/<int:gate_id>/ignore/", gates.ignore, name="ignore"),
    path("<int:number>/evidence/<str:digest>/", release.evidence, name="evidence"),
    path("<int:number>/review/", review.review, name="review"),
    path("<int:number>/decide/<slug:verdict>/", review.decide, name="decide"),
    path("<int:number>/decisions/<int:decision_id>/take-back/", review.take_back, name="take_back"),
    path("<int:number>/decisions/<int:decision_id>/answer/", review.answer, name="answer"),
]
