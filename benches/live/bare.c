// The reference for live capture: the least that an AF_XDP receiver in C can do. It takes
// descriptors from the RX ring, puts their frames back into the fill ring, and counts; it looks at
// no byte. Rings, frames and polling are those of our own port; nothing but the kernel's headers
// is needed:
//
//     cc -O2 -o bare bare.c && ./bare INTERFACE QUEUE
//
// Prints "ready" when it receives; ends at the end of standard input, with "packets N".

#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RX_SIZE = 4096, FILL_SIZE = 8192, FRAME_BYTES = 2048, BATCH = 64 };

#define OR_DIE(call) or_die((long)(call), #call)

static long or_die(long result, const char *call) {
    if (result < 0) {
        perror(call);
        exit(1);
    }
    return result;
}

struct ring {
    _Atomic uint32_t *producer, *consumer;
    void *entries;
};

static struct ring map_ring(int fd, struct xdp_ring_offset offset, size_t bytes, off_t page) {
    char *base = mmap(NULL, offset.desc + bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                      fd, page);
    OR_DIE(base == MAP_FAILED ? -1 : 0);
    return (struct ring){(void *)(base + offset.producer), (void *)(base + offset.consumer),
                         base + offset.desc};
}

static long bpf(int command, union bpf_attr *attr) {
    return syscall(SYS_bpf, command, attr, sizeof *attr);
}

// Attaches "redirect to the socket of this queue, else pass"; it goes with this process.
static int attach(unsigned ifindex, uint32_t queue) {
    union bpf_attr map = {.map_type = BPF_MAP_TYPE_XSKMAP, .key_size = 4, .value_size = 4,
                          .max_entries = queue + 1};
    int map_fd = OR_DIE(bpf(BPF_MAP_CREATE, &map));
    struct bpf_insn code[] = {
        {BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(struct xdp_md, rx_queue_index), 0},
        {BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map_fd},
        {0},
        {BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, XDP_PASS},
        {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map},
        {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
    };
    union bpf_attr program = {.prog_type = BPF_PROG_TYPE_XDP,
                              .insns = (uintptr_t)code,
                              .insn_cnt = sizeof code / sizeof *code,
                              .license = (uintptr_t) "GPL"};
    int program_fd = OR_DIE(bpf(BPF_PROG_LOAD, &program));
    union bpf_attr link = {.link_create = {.prog_fd = program_fd,
                                           .target_ifindex = ifindex,
                                           .attach_type = BPF_XDP,
                                           .flags = XDP_FLAGS_DRV_MODE}};
    OR_DIE(bpf(BPF_LINK_CREATE, &link));
    return map_fd;
}

static _Atomic int stopped;

static void *wait_for_end(void *unused) {
    char some[64];
    while (read(0, some, sizeof some) > 0) {
    }
    stopped = 1;
    return unused;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: bare INTERFACE QUEUE\n");
        return 2;
    }
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_MEMLOCK, &unlimited);
    unsigned ifindex = if_nametoindex(argv[1]);
    uint32_t queue = atoi(argv[2]);

    int fd = OR_DIE(socket(AF_XDP, SOCK_RAW, 0));
    size_t bytes = (size_t)FILL_SIZE * FRAME_BYTES;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    OR_DIE(memory == MAP_FAILED ? -1 : 0);
    struct xdp_umem_reg umem = {.addr = (uintptr_t)memory, .len = bytes, .chunk_size = FRAME_BYTES};
    OR_DIE(setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof umem));
    int fill_size = FILL_SIZE, rx_size = RX_SIZE;
    OR_DIE(setsockopt(fd, SOL_XDP, XDP_UMEM_FILL_RING, &fill_size, sizeof fill_size));
    OR_DIE(setsockopt(fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &rx_size, sizeof rx_size));
    OR_DIE(setsockopt(fd, SOL_XDP, XDP_RX_RING, &rx_size, sizeof rx_size));
    struct xdp_mmap_offsets offsets;
    socklen_t length = sizeof offsets;
    OR_DIE(getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length));
    struct ring fill = map_ring(fd, offsets.fr, FILL_SIZE * 8, XDP_UMEM_PGOFF_FILL_RING);
    struct ring rx = map_ring(fd, offsets.rx, RX_SIZE * sizeof(struct xdp_desc), XDP_PGOFF_RX_RING);

    // Half of the ring's places: the kernel shows a frame in the RX ring before it gives back the
    // frame's place in the fill ring.
    uint64_t *free_frames = fill.entries;
    uint32_t filled = FILL_SIZE - RX_SIZE / 2;
    for (uint32_t i = 0; i < filled; i++)
        free_frames[i] = (uint64_t)i * FRAME_BYTES;
    atomic_store_explicit(fill.producer, filled, memory_order_release);

    struct sockaddr_xdp address = {.sxdp_family = AF_XDP, .sxdp_ifindex = ifindex,
                                   .sxdp_queue_id = queue, .sxdp_flags = XDP_COPY};
    OR_DIE(bind(fd, (struct sockaddr *)&address, sizeof address));
    int map_fd = attach(ifindex, queue);
    union bpf_attr entry = {.map_fd = map_fd, .key = (uintptr_t)&queue, .value = (uintptr_t)&fd};
    OR_DIE(bpf(BPF_MAP_UPDATE_ELEM, &entry));

    pthread_t waiter;
    pthread_create(&waiter, NULL, wait_for_end, NULL);
    printf("ready\n");
    fflush(stdout);

    const struct xdp_desc *received = rx.entries;
    uint64_t packets = 0;
    uint32_t taken = 0;
    while (!atomic_load_explicit(&stopped, memory_order_relaxed)) {
        uint32_t there = atomic_load_explicit(rx.producer, memory_order_acquire) - taken;
        if (there > BATCH)
            there = BATCH;
        for (uint32_t i = 0; i < there; i++) {
            uint64_t frame = received[(taken + i) & (RX_SIZE - 1)].addr;
            free_frames[(filled + i) & (FILL_SIZE - 1)] = frame - frame % FRAME_BYTES;
        }
        if (there == 0)
            continue;
        taken += there;
        filled += there;
        packets += there;
        atomic_store_explicit(rx.consumer, taken, memory_order_release);
        atomic_store_explicit(fill.producer, filled, memory_order_release);
    }
    printf("packets %llu\n", (unsigned long long)packets);
    return 0;
}
