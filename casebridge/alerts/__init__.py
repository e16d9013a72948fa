"""Alerts tell people that something failed, once for each cause. The client of Slack is in `resources`."""
