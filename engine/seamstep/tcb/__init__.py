"""Reading and verifying Intel's TCB Info: documents, their issuer chains, folders of both.

``files`` reads a document or a folder, ``chain`` verifies the chain and the signature. Values and statuses are in
``domain/tcb.py``.
"""
