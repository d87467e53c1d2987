/* SPDX-License-Identifier: MIT */
/*
 * Many clients of a PostgreSQL server by libpq, each of which waits for a lock.
 * Usage: with_libpq CONNINFO N
 */
#include <libpq-fe.h>
#include <string.h>

#include "crowd.h"

static const char *where;

static void ask(int number)
{
	PGconn *c = PQconnectdb(where);
	char query[80];		/* the lock can be had by all at once */
	PGresult *r;

	must(PQstatus(c) == CONNECTION_OK, PQerrorMessage(c));
	snprintf(query, sizeof(query),
		 "select %d from pg_advisory_lock_shared(1)", number);
	r = PQexec(c, query);
	must(PQresultStatus(r) == PGRES_TUPLES_OK, PQerrorMessage(c));
	must(atoi(PQgetvalue(r, 0, 0)) == number, PQgetvalue(r, 0, 0));
	PQclear(r);
	PQfinish(c);
}

int main(int argc, char **argv)
{
	must(argc == 3, "with_libpq CONNINFO N");
	where = argv[1];
	run_crowd(atoi(argv[2]), ask);
	return 0;
}
