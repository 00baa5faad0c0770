"""What a stream is, and what a stage of your own is written with; names no stage.

A stream is a plan, which says what each item is made of, and the work that each item owes. Most stages of
your own are compositions, which need none of this: see `ops.Stage`. For the others there are

* `core.stream`: `Stream`, `Stage`, and `members_of`, for sources over several streams,
* `core.plan`: `Plan`, and `PlanOver`, `Itemwise`, `SameSamples`, `JointPlan` to derive from, `Again`, `Kind`,
  `Draws`; `core.record`: `record`, `Count`,
* `core.grid`: `Grid`, where the samples lie in the items,
* `core.work`: `Step` and `Work`; `core.joint`: `Choice` and `Pick`,
* `core.checks`: `whole_number`, `as_block`, `block_array`.

`examples/a_stage_of_your_own.py` writes three, and checks them with `batchup.testing.check_laws`.
"""
