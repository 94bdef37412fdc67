/* What a programmer would write by hand for one test, to compare with what the filter compiles to.
 *
 * -DPORT_CASES='case …:'  UDP to one of these ports, IPv4 or IPv6, no later fragment
 * -DADDRESSES             IPv4 from one of the addresses in a hash map
 *
 * Selected packets are dropped, others pass, so that a test run can tell.
 */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

#define XDP __attribute__((section("xdp"), used))
#define be16(value) ((u16)__builtin_bswap16(value))
#define PASS 2
#define SELECTED 1

struct xdp_md {
    u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

struct ethernet {
    u8 destination[6], source[6];
    u16 type;
};

struct ipv4 {
    u8 version_and_length, service;
    u16 length, id, fragment;
    u8 ttl, protocol;
    u16 checksum;
    u32 source, destination;
};

struct ipv6 {
    u32 flow;
    u16 length;
    u8 next, hops;
    u8 source[16], destination[16];
};

struct udp {
    u16 source, destination, length, checksum;
};

#ifdef ADDRESSES

/* The loader puts a map in the place of this. */
extern int addresses;
static void *(*const lookup)(void *map, const void *key) = (void *)1;

XDP int filter(struct xdp_md *context) {
    void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
    struct ethernet *ethernet = data;
    struct ipv4 *ip = (void *)(ethernet + 1);
    if ((void *)(ip + 1) > end || ethernet->type != be16(0x0800))
        return PASS;
    u32 key = ip->source;
    return lookup(&addresses, &key) ? SELECTED : PASS;
}

#else

XDP int filter(struct xdp_md *context) {
    void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
    struct ethernet *ethernet = data;
    struct udp *udp;
    if ((void *)(ethernet + 1) > end)
        return PASS;
    if (ethernet->type == be16(0x0800)) {
        struct ipv4 *ip = (void *)(ethernet + 1);
        if ((void *)(ip + 1) > end || ip->protocol != 17 || ip->fragment & be16(0x1fff))
            return PASS;
        udp = (void *)ip + (ip->version_and_length & 15) * 4;
    } else if (ethernet->type == be16(0x86dd)) {
        struct ipv6 *ip = (void *)(ethernet + 1);
        if ((void *)(ip + 1) > end || ip->next != 17)
            return PASS;
        udp = (void *)(ip + 1);
    } else {
        return PASS;
    }
    if ((void *)(udp + 1) > end)
        return PASS;
    switch (udp->destination) {
        PORT_CASES
        return SELECTED;
    }
    return PASS;
}

#endif
