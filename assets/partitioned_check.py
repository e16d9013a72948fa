"""A check that keeps one evaluation per partition: the one preview feature of Dagster that casebridge uses.

Without it, Dagster shows the latest evaluation for all partitions. An institution whose ledger balances would then hide one
whose ledger does not. The lock file pins Dagster's version, and a test (`test_orchestration_definitions`) forbids any other
preview or beta feature.
"""

import warnings

import dagster as dg


def partitioned_check(
    name: str, *, asset: str, description: str, partitions_def: dg.PartitionsDefinition[str]
) -> dg.AssetCheckSpec:
    """The specification of the check. Dagster's warning about the preview is ignored here: see the docstring of this module."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Specifying a partitions_def on an AssetCheckSpec", dg.PreviewWarning)
        return dg.AssetCheckSpec(name, asset=asset, description=description, partitions_def=partitions_def)
