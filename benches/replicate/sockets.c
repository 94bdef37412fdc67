// References for replication through sockets, as plain and as fast as they go:
//
//     plain          recvfrom, then a sendto for each subscriber: one datagram, one call
//     by-subscriber  recvmmsg, then for each subscriber a sendmmsg of the whole batch, through a
//                    connected socket of its own: no route is looked up for a datagram
//     by-packet      recvmmsg, then for each datagram a sendmmsg to all subscribers
//
//     cc -O2 -o sockets sockets.c && ./sockets plain 10.0.0.2 5000 10.0.0.1 6000 64
//
// The subscribers are COUNT ports of one address, from PORT on. Prints "ready" when it receives;
// runs until it is killed.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BATCH = 64, SUBSCRIBERS_MAX = 1024, DATAGRAM_BYTES_MAX = 2048 };

static struct sockaddr_in subscribers[SUBSCRIBERS_MAX];
static unsigned count;
static char bytes[BATCH][DATAGRAM_BYTES_MAX];
static struct iovec vectors[BATCH];
static struct mmsghdr headers[BATCH];

static int or_die(int result, const char *call) {
    if (result < 0) {
        perror(call);
        exit(1);
    }
    return result;
}

static struct sockaddr_in address(const char *text, unsigned port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    or_die(inet_pton(AF_INET, text, &address.sin_addr) - 1, text);
    return address;
}

static int new_socket(void) {
    return or_die(socket(AF_INET, SOCK_DGRAM, 0), "socket");
}

static void plain(int in) {
    int out = new_socket();
    for (;;) {
        ssize_t length = recvfrom(in, bytes[0], DATAGRAM_BYTES_MAX, 0, NULL, NULL);
        for (unsigned i = 0; length >= 0 && i < count; i++)
            sendto(out, bytes[0], length, 0, (struct sockaddr *)&subscribers[i],
                   sizeof subscribers[i]);
    }
}

static int receive_batch(int in) {
    for (unsigned i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){bytes[i], DATAGRAM_BYTES_MAX};
        headers[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    int received = recvmmsg(in, headers, BATCH, MSG_WAITFORONE, NULL);
    for (int i = 0; i < received; i++)
        vectors[i].iov_len = headers[i].msg_len;
    return received;
}

// Sends all of them; one that is refused is lost, as in the plain loop.
static void send_all(int out, struct mmsghdr *messages, int left) {
    while (left > 0) {
        int sent = sendmmsg(out, messages, left, 0);
        if (sent < 1)
            sent = 1;
        messages += sent;
        left -= sent;
    }
}

static void by_subscriber(int in) {
    static int out[SUBSCRIBERS_MAX];
    for (unsigned i = 0; i < count; i++) {
        out[i] = new_socket();
        or_die(connect(out[i], (struct sockaddr *)&subscribers[i], sizeof subscribers[i]),
               "connect");
    }
    for (;;) {
        int received = receive_batch(in);
        for (unsigned i = 0; i < count; i++)
            send_all(out[i], headers, received);
    }
}

static void by_packet(int in) {
    static struct mmsghdr copies[SUBSCRIBERS_MAX];
    static struct iovec payload;
    int out = new_socket();
    for (unsigned i = 0; i < count; i++)
        copies[i].msg_hdr = (struct msghdr){.msg_name = &subscribers[i],
                                            .msg_namelen = sizeof subscribers[i],
                                            .msg_iov = &payload,
                                            .msg_iovlen = 1};
    for (;;) {
        int received = receive_batch(in);
        for (int i = 0; i < received; i++) {
            payload = vectors[i];
            send_all(out, copies, count);
        }
    }
}

int main(int argc, char **argv) {
    if (argc != 7) {
        fprintf(stderr, "usage: sockets plain|by-subscriber|by-packet ADDRESS PORT "
                        "SUBSCRIBERS_ADDRESS PORT COUNT\n");
        return 2;
    }
    count = atoi(argv[6]);
    if (count > SUBSCRIBERS_MAX)
        return 2;
    for (unsigned i = 0; i < count; i++)
        subscribers[i] = address(argv[4], atoi(argv[5]) + i);
    int in = new_socket();
    struct sockaddr_in here = address(argv[2], atoi(argv[3]));
    or_die(bind(in, (struct sockaddr *)&here, sizeof here), "bind");
    printf("ready\n");
    fflush(stdout);
    if (strcmp(argv[1], "plain") == 0)
        plain(in);
    else if (strcmp(argv[1], "by-subscriber") == 0)
        by_subscriber(in);
    else
        by_packet(in);
}
