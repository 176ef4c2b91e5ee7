/*
 * Lets User-Mode Linux 6.1 run on processors whose register file is larger than it knows (AMX): the host's kernel wants
 * the whole XSTATE when one is set (EFAULT otherwise), and User-Mode Linux hands over the part that it has room for. The
 * rest is filled in from what the process has. Preloaded; without any header, so that a bare compiler is enough.
 */
enum { SYS_PTRACE = 101, PEEK_FIRST = 1, PEEK_LAST = 3, GETREGSET = 0x4204, SETREGSET = 0x4205, NT_X86_XSTATE = 0x202 };

struct part {
  void *base;
  unsigned long length;
};

long syscall(long number, ...);
void *memcpy(void *to, const void *from, unsigned long length);

long ptrace(int request, int pid, void *address, struct part *data) {
  static char whole[65536] __attribute__((aligned(64)));
  struct part all = {whole, sizeof whole};
  long word;
  if (request == SETREGSET && (long)address == NT_X86_XSTATE &&
      syscall(SYS_PTRACE, GETREGSET, pid, address, &all) == 0 && data->length < all.length) {
    memcpy(whole, data->base, data->length);
    return syscall(SYS_PTRACE, SETREGSET, pid, address, &all);
  }
  /* The C library's function returns what is read; the system call stores it. */
  if (request >= PEEK_FIRST && request <= PEEK_LAST)
    return syscall(SYS_PTRACE, request, pid, address, &word) < 0 ? -1 : word;
  return syscall(SYS_PTRACE, request, pid, address, data);
}
