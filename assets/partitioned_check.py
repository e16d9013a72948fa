"""A check that keeps one evaluation per partition: the one preview feature of Dagster that casebridge uses.

Without it the latest evaluation stands for all partitions, and an institution that balances would hide one that does not. The
lock pins Dagster's version, and a test (`test_orchestration_definitions`) lets no other preview or beta feature in.
"""

import warnings

import dagster as dg


def partitioned_check(
    name: str, *, asset: str, description: str, partitions_def: dg.PartitionsDefinition[str]
) -> dg.AssetCheckSpec:
    """The specification; Dagster's warning of the preview is answered by the docstring of this module."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Specifying a partitions_def on an AssetCheckSpec", dg.PreviewWarning)
        return dg.AssetCheckSpec(name, asset=asset, description=description, partitions_def=partitions_def)
