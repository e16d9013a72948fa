"""The audit log: what was done for each case, by which step, with what result. Append only, in `oai.auditLog`."""
