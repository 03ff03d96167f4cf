/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request-response over one TCP connection, as netperf's TCP_RR: what a packet's way costs, without a protocol above.
 *   rr server ADDRESS PORT                      serves one connection after the other until it is killed
 *   rr client ADDRESS PORT SECONDS [BYTES]      prints: transactions seconds p50_ns p99_ns
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_SAMPLES (8u << 20)
#define MAX_BYTES 65536

static char buffer[MAX_BYTES];

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int read_whole(int fd, size_t want)
{
	size_t have = 0;

	while (have < want) {
		ssize_t n = recv(fd, buffer, want - have, 0);

		if (n <= 0)
			return -1;
		have += (size_t)n;
	}
	return 0;
}

static void no_delay(int fd)
{
	int on = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		fail("TCP_NODELAY");
}

static _Noreturn void serve(const struct sockaddr_in *address)
{
	int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (const struct sockaddr *)address, sizeof(*address)) || listen(listener, 16))
		fail("listen");
	for (;;) {
		uint32_t bytes;
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			fail("accept");
		no_delay(fd);
		/* The client says first how long each message is. */
		if (read_whole(fd, sizeof(bytes)) == 0) {
			memcpy(&bytes, buffer, sizeof(bytes));
			while (bytes <= MAX_BYTES && read_whole(fd, bytes) == 0 &&
			       send(fd, buffer, bytes, MSG_NOSIGNAL) == (ssize_t)bytes)
				;
		}
		close(fd);
	}
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int ask(const struct sockaddr_in *address, double seconds, uint32_t bytes)
{
	uint32_t *samples = malloc(MAX_SAMPLES * sizeof(*samples));
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	uint64_t began, ends, sent, answered;
	size_t count = 0;

	if (!samples)
		fail("malloc");
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)))
		fail("connect");
	no_delay(fd);
	if (send(fd, &bytes, sizeof(bytes), 0) != sizeof(bytes))
		fail("send");
	began = answered = now_ns();
	ends = began + (uint64_t)(seconds * 1e9);
	while (answered < ends && count < MAX_SAMPLES) {
		sent = now_ns();
		if (send(fd, buffer, bytes, 0) != (ssize_t)bytes || read_whole(fd, bytes))
			fail("exchange");
		answered = now_ns();
		samples[count++] = (uint32_t)(answered - sent);
	}
	qsort(samples, count, sizeof(*samples), by_size);
	printf("%zu %.6f %u %u\n", count, (double)(answered - began) / 1e9, samples[count / 2], samples[count * 99 / 100]);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	uint32_t bytes;

	if (argc < 4 || inet_pton(AF_INET, argv[2], &address.sin_addr) != 1) {
		fprintf(stderr, "usage: rr server ADDRESS PORT | rr client ADDRESS PORT SECONDS [BYTES]\n");
		return 2;
	}
	address.sin_port = htons((uint16_t)atoi(argv[3]));
	if (strcmp(argv[1], "server") == 0)
		serve(&address);
	bytes = argc > 5 ? (uint32_t)atoi(argv[5]) : 1;
	if (argc < 5 || bytes == 0 || bytes > MAX_BYTES)
		return 2;
	return ask(&address, atof(argv[4]), bytes);
}
