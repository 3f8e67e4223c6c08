"""The common forms of a cron line are said in words, in the reader's language; no other is said wrongly."""

import pytest
from django.utils import translation

from releases.schedules.cron_words import in_words


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("7 * * * *", "hourly at :07"),
        ("0 */1 * * *", "hourly at :00"),
        ("30 */6 * * *", "every 6 hours at :30"),
        ("0 2 * * *", "daily at 02:00"),
        ("15 3 * * 0", "weekly on Sun at 03:15"),
        ("15 3 * * 7", "weekly on Sun at 03:15"),
        ("15 3 * * 1-3,5", "weekly on Mon, Tue, Wed, Fri at 03:15"),
        ("0 4 1 * *", "monthly on day 1 at 04:00"),
    ],
)
@translation.override("en")
def test_a_common_form_is_said_in_words(cron: str, said: str) -> None:
    assert in_words(cron) == said


@pytest.mark.parametrize(
    "cron",
    [
        "*/7 * * * *",  # begins anew with each hour
        "0 */5 * * *",
        "0,30 * * * *",
        "1-5 2 * * *",
        "0 2,14 * * *",
        "0 2 1,15 * *",
        "0 2 1 * 1",  # on the first, and on each Monday
        "0 2 * 6 *",
        "0 2 * * */2",
        "0 */6 * * 1",
    ],
)
@translation.override("en")
def test_any_other_is_left_to_the_line_itself(cron: str) -> None:
    assert in_words(cron) == ""
