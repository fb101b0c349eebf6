/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What calls of databases are read with; offsets in structs. */
#ifndef TRIGON_STORE_LAYOUT_H
#define TRIGON_STORE_LAYOUT_H

/* database/sql */
struct sql_layout {
	__u16 stmt_query;
	__u16 tx_ctx;
	__u16 tx_done; /* an atomic.Bool */
	__u16 pad;
};

/* github.com/redis/go-redis/v9 */
struct redis_layout {
	__u16 client_options; /* of baseClient */
	__u16 address;        /* of Options */
	__u16 retries;
	__u16 arguments; /* of baseCmd, with which each command's struct begins */
};

#endif
