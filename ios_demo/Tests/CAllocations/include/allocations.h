/* Bytes that this thread has asked malloc for, in blocks of at least 512; -1 where the C library can't be listened to. */
long long onpar_allocated_bytes(void);
