"""Worker processes of our own: a pool, the thread that supervises it, and what runs in the workers."""
