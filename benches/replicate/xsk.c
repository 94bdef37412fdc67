// References over one AF_XDP socket in copy mode, with nothing around the system calls:
//
//     raw   transmits frames that lie ready, as fast as the kernel takes them; receives nothing
//     echo  returns each frame with source and destination swapped, spinning
//
//     cc -O2 -o xsk xsk.c && ./xsk raw eth1 FRAME-IN-HEX; ./xsk echo eth1
//
// Only the kernel's headers are needed. Prints "ready"; runs until it is killed.

#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <net/if.h>
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

enum { RING_SIZE = 2048, FRAME_BYTES = 2048 };
// Frames that take turns when nothing is received: few enough to stay in the cache. And what the
// kernel may send in a call, which is 32 in general; from Linux 6.17 on it can be told.
enum { RAW_FRAMES = 256, MAX_TX_SKB_BUDGET = 9 };

#define OR_DIE(call) or_die((long)(call), #call)

static long or_die(long result, const char *call) {
    if (result < 0) {
        perror(call);
        exit(1);
    }
    return result;
}

// Our end of a ring, with an index of our own.
struct ring {
    _Atomic uint32_t *producer, *consumer;
    void *entries;
    uint32_t at;
};

static int fd;
static char *memory;
static struct ring fill, completion, rx, tx;

static struct ring map_ring(struct xdp_ring_offset offset, size_t entry_bytes, off_t page) {
    size_t bytes = offset.desc + RING_SIZE * entry_bytes;
    char *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, page);
    OR_DIE(base == MAP_FAILED ? -1 : 0);
    return (struct ring){(void *)(base + offset.producer), (void *)(base + offset.consumer),
                         base + offset.desc, 0};
}

static void open_socket(unsigned ifindex) {
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_MEMLOCK, &unlimited);
    fd = OR_DIE(socket(AF_XDP, SOCK_RAW, 0));
    size_t bytes = (size_t)RING_SIZE * FRAME_BYTES;
    memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    OR_DIE(memory == MAP_FAILED ? -1 : 0);
    struct xdp_umem_reg umem = {.addr = (uintptr_t)memory, .len = bytes, .chunk_size = FRAME_BYTES};
    OR_DIE(setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof umem));
    int rings[] = {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING};
    for (int i = 0; i < 4; i++) {
        int size = RING_SIZE;
        OR_DIE(setsockopt(fd, SOL_XDP, rings[i], &size, sizeof size));
    }
    struct xdp_mmap_offsets at;
    socklen_t length = sizeof at;
    OR_DIE(getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &length));
    fill = map_ring(at.fr, sizeof(uint64_t), XDP_UMEM_PGOFF_FILL_RING);
    completion = map_ring(at.cr, sizeof(uint64_t), XDP_UMEM_PGOFF_COMPLETION_RING);
    rx = map_ring(at.rx, sizeof(struct xdp_desc), XDP_PGOFF_RX_RING);
    tx = map_ring(at.tx, sizeof(struct xdp_desc), XDP_PGOFF_TX_RING);
    struct sockaddr_xdp address = {.sxdp_family = AF_XDP, .sxdp_ifindex = ifindex,
                                   .sxdp_flags = XDP_COPY | XDP_USE_NEED_WAKEUP};
    OR_DIE(bind(fd, (struct sockaddr *)&address, sizeof address));
}

static long bpf(int command, union bpf_attr *attr) {
    return syscall(SYS_bpf, command, attr, sizeof *attr);
}

// Attaches "redirect to the socket of this queue, else pass"; it goes with this process.
static void attach(unsigned ifindex) {
    union bpf_attr map = {.map_type = BPF_MAP_TYPE_XSKMAP, .key_size = 4, .value_size = 4,
                          .max_entries = 1};
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
    uint32_t queue = 0;
    union bpf_attr entry = {.map_fd = map_fd, .key = (uintptr_t)&queue, .value = (uintptr_t)&fd};
    OR_DIE(bpf(BPF_MAP_UPDATE_ELEM, &entry));
}

// How many entries the kernel has put into a ring of which we are the consumer.
static uint32_t available(const struct ring *ring) {
    return atomic_load_explicit(ring->producer, memory_order_acquire) - ring->at;
}

static void kick(void) {
    sendto(fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
}

static void raw(const char *hex) {
    char frame[FRAME_BYTES];
    uint32_t length = strlen(hex) / 2, in_flight = 0;
    for (uint32_t i = 0; i < length; i++) {
        unsigned byte;
        sscanf(hex + 2 * i, "%2x", &byte);
        frame[i] = byte;
    }
    for (uint32_t i = 0; i < RAW_FRAMES; i++)
        memcpy(memory + (size_t)i * FRAME_BYTES, frame, length);
    // An older kernel refuses, and takes 32 all the same.
    int budget = RAW_FRAMES;
    setsockopt(fd, SOL_XDP, MAX_TX_SKB_BUDGET, &budget, sizeof budget);
    struct xdp_desc *queued = tx.entries;
    for (;;) {
        uint32_t done = available(&completion);
        completion.at += done;
        in_flight -= done;
        atomic_store_explicit(completion.consumer, completion.at, memory_order_release);
        for (; in_flight < RAW_FRAMES; tx.at++, in_flight++)
            queued[tx.at % RING_SIZE] = (struct xdp_desc){
                .addr = (uint64_t)(tx.at % RAW_FRAMES) * FRAME_BYTES, .len = length};
        atomic_store_explicit(tx.producer, tx.at, memory_order_release);
        kick();
    }
}

static void swap(char *one, char *other, size_t length) {
    char some[8];
    memcpy(some, one, length);
    memcpy(one, other, length);
    memcpy(other, some, length);
}

static void echo(void) {
    uint64_t *to_fill = fill.entries, *completed = completion.entries;
    struct xdp_desc *received = rx.entries, *queued = tx.entries;
    for (; fill.at < RING_SIZE / 2; fill.at++)
        to_fill[fill.at] = (uint64_t)fill.at * FRAME_BYTES;
    for (;;) {
        for (uint32_t done = available(&completion); done > 0; done--)
            to_fill[fill.at++ % RING_SIZE] = completed[completion.at++ % RING_SIZE];
        atomic_store_explicit(completion.consumer, completion.at, memory_order_release);
        atomic_store_explicit(fill.producer, fill.at, memory_order_release);
        uint32_t there = available(&rx);
        if (there == 0)
            continue;
        for (; there > 0; there--) {
            struct xdp_desc frame = received[rx.at++ % RING_SIZE];
            char *bytes = memory + frame.addr;
            swap(bytes, bytes + 6, 6);       // Ethernet
            swap(bytes + 26, bytes + 30, 4); // IPv4
            swap(bytes + 34, bytes + 36, 2); // UDP
            queued[tx.at++ % RING_SIZE] = frame;
        }
        atomic_store_explicit(rx.consumer, rx.at, memory_order_release);
        atomic_store_explicit(tx.producer, tx.at, memory_order_release);
        kick();
    }
}

int main(int argc, char **argv) {
    int is_raw = argc == 4 && strcmp(argv[1], "raw") == 0;
    if (!is_raw && !(argc == 3 && strcmp(argv[1], "echo") == 0)) {
        fprintf(stderr, "usage: xsk raw INTERFACE FRAME | xsk echo INTERFACE\n");
        return 2;
    }
    unsigned ifindex = if_nametoindex(argv[2]);
    open_socket(ifindex);
    if (!is_raw)
        attach(ifindex);
    printf("ready\n");
    fflush(stdout);
    if (is_raw)
        raw(argv[3]);
    else
        echo();
}
