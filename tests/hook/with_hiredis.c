/* SPDX-License-Identifier: MIT */
/*
 * Many clients of a Redis server by hiredis, each of which waits until
 * something is put in its list. Usage: with_hiredis PORT N
 */
#include <hiredis/hiredis.h>
#include <string.h>

#include "crowd.h"

static int port;

static void ask(int number)
{
	redisContext *c = redisConnect("127.0.0.1", port);
	redisReply *r;

	must(c && c->err == 0, c ? c->errstr : "redisConnect");
	r = redisCommand(c, "SET key%d value%d", number, number);
	must(r && r->type == REDIS_REPLY_STATUS, c->errstr);
	freeReplyObject(r);
	r = redisCommand(c, "BLPOP list%d 0", number);
	must(r && r->type == REDIS_REPLY_ARRAY, c->errstr);
	freeReplyObject(r);
	r = redisCommand(c, "GET key%d", number);
	must(r && r->type == REDIS_REPLY_STRING, c->errstr);
	must(atoi(r->str + strlen("value")) == number, r->str);
	freeReplyObject(r);
	redisFree(c);
}

int main(int argc, char **argv)
{
	must(argc == 3, "with_hiredis PORT N");
	port = atoi(argv[1]);
	run_crowd(atoi(argv[2]), ask);
	return 0;
}
