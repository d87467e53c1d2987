/* SPDX-License-Identifier: MIT */
/* Many transfers by libcurl's easy interface. Usage: with_curl URL N */
#include <curl/curl.h>
#include <string.h>

#include "crowd.h"

static const char *url;

struct body {
	char text[64];
	size_t n;
};

static size_t take(char *data, size_t size, size_t n, void *to)
{
	struct body *b = to;

	must(b->n + size * n < sizeof(b->text), "a short answer");
	memcpy(b->text + b->n, data, size * n);
	b->n += size * n;
	return size * n;
}

static void fetch(int number)
{
	struct body *b = calloc(1, sizeof(*b));
	CURL *c = curl_easy_init();
	long status = 0;
	CURLcode r;

	(void)number;
	must(b && c, "curl_easy_init");
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, b);
	r = curl_easy_perform(c);
	must(r == CURLE_OK, curl_easy_strerror(r));
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	must(status == 200 && strcmp(b->text, "Hello, world!\n") == 0, b->text);
	curl_easy_cleanup(c);
	free(b);
}

int main(int argc, char **argv)
{
	must(argc == 3, "with_curl URL N");
	url = argv[1];
	must(curl_global_init(CURL_GLOBAL_ALL) == 0, "curl_global_init");
	run_crowd(atoi(argv[2]), fetch);
	return 0;
}
