"""How often, when, by whom and how well releases go out: figures for the report and the API.

What is counted (product.md, "Deploys are too frequent and irregular"):

- A deployment is a rollout whose first step began, on the day it began, in the reader's zone. Operations on
  what runs, such as a restart, are none.
- Lead time: from the submission that was approved to the end of a rollout that succeeded, which includes its
  verification. Beside it stands the time from the first draft.
- A deployment failed when it failed once or began to be rolled back, whatever came of it afterwards; the
  failure rate is the share of these among all deployments.
- Time to restore: from that failure to the moment when each of its services stands well again: rolled back,
  carried to its end after all, or replaced there by a later rollout that succeeded.
- Waiting: from the opening of a row (the submission; for the sign-off and an owed review, the moment the
  release came to wait for it) to the verdict that completes it.
- Incidents: those opened in the period, on their day in the reader's zone. Their time to restore goes from
  the opening to the closing; beside it stands the time from when the trouble began.

Spans are medians. Only what the reader may see counts.
"""
