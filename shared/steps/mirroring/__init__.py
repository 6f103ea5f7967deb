"""Items in Recovery Services vaults: Azure takes the snapshots and moves the bytes, by its own
schedule. Our items, jobs and points mirror its, and drive it.

Nothing waits in a function: what is to be looked at again is a message of its own, scheduled for
then, on the queue `recovery-services`."""
