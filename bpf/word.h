/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What kind of operation a call of a database is, as one word: a statement's first, or a command's name. Nothing but
 * letters (and, in commands' names, a few signs) may get into a word, since statements hold values, and a word becomes
 * part of a metric's name.
 */
#ifndef TRIGON_WORD_H
#define TRIGON_WORD_H

#define WORD_MAX      24 /* "GEORADIUSBYMEMBER_RO" is the longest command of Redis that reads */
#define SQL_WORD_MAX  16
#define STATEMENT_GAP 64 /* blanks and comments before a statement's first word */

/* In capitals, and zero behind its end. Empty: none. */
struct word {
	__u8 bytes[WORD_MAX];
	__u32 len;
	__u32 pad;
};

static __always_inline int is_letter(__u8 c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

enum statement_part {
	STATEMENT_GAP_PART = 0,
	STATEMENT_LINE_COMMENT = 1,
	STATEMENT_BLOCK_COMMENT = 2,
	STATEMENT_WORD = 3,
};

/* The first word of an SQL statement, behind blanks, parentheses and comments. */
__noinline int statement_word(struct word *word, const struct go_string *of)
{
	__u8 text[STATEMENT_GAP + SQL_WORD_MAX + 8] = {};
	__u32 part = STATEMENT_GAP_PART, n = 0;
	__u8 skip = 0;

	if (!word || !of)
		return 0;
	word->len = 0;
	if (read_text(text, sizeof(text) - 1, of->ptr, of->len > 0xffff ? 0xffff : of->len) < 0)
		return -1;
	for (__u32 i = 0; i < sizeof(text) - 1; i++) {
		__u8 c = text[i], next = text[i + 1];

		if (skip) {
			skip = 0;
			continue;
		}
		if (part == STATEMENT_LINE_COMMENT) {
			if (c == '\n')
				part = STATEMENT_GAP_PART;
			continue;
		}
		if (part == STATEMENT_BLOCK_COMMENT) {
			if (c == '*' && next == '/') {
				part = STATEMENT_GAP_PART;
				skip = 1;
			}
			continue;
		}
		if (is_letter(c)) {
			if (n >= SQL_WORD_MAX || (part == STATEMENT_GAP_PART && i > STATEMENT_GAP))
				return 0;
			part = STATEMENT_WORD;
			word->bytes[n & 15] = c & 0xdf;
			n++;
			continue;
		}
		if (part == STATEMENT_WORD) {
			/* A digit, a quote or a dot: it was none of SQL's words. */
			if (c == 0 || c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '(' || c == ';' ||
			    c == '*' || c == '/' || c == '-')
				word->len = n;
			return 0;
		}
		if (c == '-' && next == '-') {
			part = STATEMENT_LINE_COMMENT;
			skip = 1;
		} else if (c == '/' && next == '*') {
			part = STATEMENT_BLOCK_COMMENT;
			skip = 1;
		} else if (c != ' ' && c != '\t' && c != '\n' && c != '\r' && c != '(' && c != ';') {
			return 0;
		}
	}
	return 0;
}

/* The name of a command: what a program gives it first. */
__noinline int command_word(struct word *word, const struct go_string *of)
{
	if (!word || !of)
		return 0;
	word->len = 0;
	if (!of->len || of->len > WORD_MAX)
		return 0;
	if (read_text(word->bytes, WORD_MAX, of->ptr, of->len) < 0)
		return -1;
	for (__u32 i = 0; i < WORD_MAX; i++) {
		__u8 c = word->bytes[i];

		if (i >= of->len)
			break;
		if (is_letter(c))
			word->bytes[i] = c & 0xdf;
		else if (c != '.' && c != '_')
			return 0;
	}
	word->len = (__u32)of->len;
	return 0;
}

/* A word that is known beforehand. */
#define set_word(word, text, size)                                                                                     \
	do {                                                                                                           \
		__builtin_memcpy((word)->bytes, text, size);                                                           \
		(word)->len = size;                                                                                    \
	} while (0)

/* Makes a word the text that an aggregate is known by. */
__noinline int word_route(struct red_key *key, const struct word *word)
{
	struct scratch_slot *slot;
	struct route_text *text;
	__u32 len;

	if (!key || !word)
		return 0;
	len = word->len;
	key->route_kind = ROUTE_NONE;
	if (!len || len > WORD_MAX)
		return 0;
	key->route_kind = ROUTE_UNREADABLE;
	slot = scratch_claim();
	if (!slot)
		return 0;
	text = &slot->scratch.route;
	__builtin_memset(text, 0, sizeof(*text));
	for (__u32 i = 0; i < WORD_MAX; i++) {
		if (i >= len)
			break;
		text->bytes[i] = word->bytes[i];
	}
	hashed_route(key, text, len);
	scratch_release(slot);
	return 0;
}

/* Whether an error's text is this: of those that are a string, or a struct that begins with one. */
static __always_inline int error_is(const struct go_interface *error, const char *text, __u32 len)
{
	struct go_string s;
	__u8 read[56] = {};

	if (len > sizeof(read) || read_user(&s, sizeof(s), error->data) || s.len != len || read_user(read, len, s.ptr))
		return 0;
	for (__u32 i = 0; i < len; i++)
		if (read[i] != (__u8)text[i])
			return 0;
	return 1;
}

#endif
