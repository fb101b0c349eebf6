/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The code that a database has given an error, where the error's type says that there is one. */
#ifndef TRIGON_SQL_STATE_H
#define TRIGON_SQL_STATE_H

#define SQL_STATE 5 /* its letters and digits */

/* The server's own code of an error, whose text is at `at`, as a number to the base of 36, and one more: zero is none.
 */
__noinline int sql_state(struct red_key *key, __u64 at)
{
	struct go_string text;
	__u8 code[8] = {};
	__u32 packed = 0;

	if (!key)
		return 0;
	if (read_user(&text, sizeof(text), at) || (text.len == SQL_STATE && read_user(code, SQL_STATE, text.ptr))) {
		lose(LOSS_CALL_UNREADABLE);
		return 0;
	}
	for (__u32 i = 0; i < SQL_STATE; i++) {
		__u8 c = code[i];

		if (c >= '0' && c <= '9')
			packed = packed * 36 + (c - '0');
		else if (c >= 'A' && c <= 'Z')
			packed = packed * 36 + (c - 'A' + 10);
		else
			return 0;
	}
	packed++;
	key->status = (__u16)packed;
	key->method = (__u8)(packed >> 16);
	key->protocol = (__u8)(packed >> 24);
	return 0;
}

/* An error in the preparation of a batch has one of a statement in it, and that one the server's. */
__noinline int pgx_unwrap(const struct call_layout *l, struct go_interface *error)
{
	if (!l || !error)
		return 0;
	for (__u32 i = 0; i < PGX_WRAPPERS; i++) {
		const struct error_wrapper *wrapper = &l->pgx.wrappers[i];

		if (error->type && error->type == wrapper->itab &&
		    read_user(error, sizeof(*error), error->data + wrapper->error)) {
			lose(LOSS_CALL_UNREADABLE);
			return 0;
		}
	}
	return 0;
}

/* Of an error that is not nil: whether it is PostgreSQL's, by the types that pgx has for them, in pgx itself or behind
 * database/sql. */
static __always_inline void note_sql_state(const struct call_layout *l, struct red_key *key,
					   const struct go_interface *of)
{
	struct go_interface error = *of;

	/* Not linked, or not known. */
	if (!l->pgx.error_itab)
		return;
	pgx_unwrap(l, &error);
	if (error.type == l->pgx.error_itab)
		sql_state(key, error.data + l->pgx.error_code);
}

#endif
