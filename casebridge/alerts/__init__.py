"""Alerts: people learn that something failed, once for each cause. The channel itself (Slack) is in `resources`."""
