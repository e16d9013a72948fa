"""The outbox: effects for the outside are written together with a change of state, and delivered afterwards."""
