"""The audit: what was done for each case, by which step, with what outcome. Append only; kept in `oai.auditLog`."""
