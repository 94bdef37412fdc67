// The plainest program that answers NanoNet ticks with orders through UDP sockets: below 100.00, buy
// 100 a cent above.
//
//     block   recvfrom sleeps until a tick is there
//     spin    recvfrom asks again and again
//
//     cc -O2 -o sockets sockets.c && ./sockets spin 10.0.0.2 8080 10.0.0.1 9999
//
// Prints "ready" when it receives; runs until it is killed.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { TICK_BYTES = 24, CENTS_MAX = 100000, QUANTITY = 100 };

struct __attribute__((packed)) tick {
    char symbol[8];
    uint32_t cents, quantity;
    uint64_t timestamp;
};

struct __attribute__((packed)) order {
    char symbol[8];
    uint32_t cents, quantity;
    uint8_t side;
    uint64_t timestamp;
    char id[16];
};

static int or_die(int result, const char *call) {
    if (result < 0) {
        perror(call);
        exit(1);
    }
    return result;
}

static struct sockaddr_in address(const char *text, const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    or_die(inet_pton(AF_INET, text, &address.sin_addr) - 1, text);
    return address;
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: sockets block|spin ADDRESS PORT TARGET PORT\n");
        return 2;
    }
    int flags = strcmp(argv[1], "spin") == 0 ? MSG_DONTWAIT : 0;
    struct sockaddr_in here = address(argv[2], argv[3]), target = address(argv[4], argv[5]);
    int in = or_die(socket(AF_INET, SOCK_DGRAM, 0), "socket");
    int out = or_die(socket(AF_INET, SOCK_DGRAM, 0), "socket");
    or_die(bind(in, (struct sockaddr *)&here, sizeof here), "bind");
    or_die(connect(out, (struct sockaddr *)&target, sizeof target), "connect");
    printf("ready\n");
    fflush(stdout);
    for (uint64_t number = 0;;) {
        struct tick tick;
        if (recvfrom(in, &tick, sizeof tick, flags, NULL, NULL) != TICK_BYTES)
            continue;
        if (tick.cents >= CENTS_MAX)
            continue;
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        struct order order = {.cents = tick.cents + 1, .quantity = QUANTITY};
        memcpy(order.symbol, tick.symbol, sizeof order.symbol);
        order.timestamp = (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
        snprintf(order.id, sizeof order.id, "%013llu", (unsigned long long)number++);
        send(out, &order, sizeof order, 0);
    }
}
