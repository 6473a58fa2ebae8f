"""Reading untrusted files in processes of their own, with limits that the kernel keeps.

::

    this process ── control socket ──▶ fork server (imports the readers once, has no threads)
         │                                  │ forks
         └── one socket for each document ──▶ worker (reads one document, then ends)

A crash, a leak or a hang of a native parser stays in its worker. What comes back is plain data that is checked here.
"""
