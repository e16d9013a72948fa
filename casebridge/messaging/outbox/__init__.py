"""The outbox: effects for outside systems are stored together with a change of state, and delivered afterwards."""
