"""Grade explanations (begrunnelser): what FS and the exam systems call things, and the flows between them, step by step.

Appeals will stand beside them. How a message is kept and retried is in `messaging`; how a system is called, in `resources`.
"""
