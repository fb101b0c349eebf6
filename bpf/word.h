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

#define STATEMENT_HEAD (STATEMENT_GAP + SQL_WORD_MAX + 8)

/* What a statement begins with, and zeros behind it. */
struct statement_head {
	__u8 text[STATEMENT_HEAD];
};

enum statement_gap {
	GAP_BLANK = 0,
	GAP_LINE_COMMENT = 1,
	GAP_BLOCK_COMMENT = 2,
};

/* The word that begins at `at`. A function of its own, which the verifier checks once and not for each beginning. */
__noinline int word_at(struct word *word, const struct statement_head *head, __u32 at)
{
	if (!word || !head || at > STATEMENT_GAP)
		return 0;
	for (__u32 n = 0; n <= SQL_WORD_MAX; n++) {
		__u8 c = head->text[at + n];

		if (!is_letter(c)) {
			/* Behind a digit, a quote or a dot it was none of SQL's words. */
			if (c == 0 || c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '(' || c == ';' ||
			    c == '*' || c == '/' || c == '-')
				word->len = n;
			return 0;
		}
		if (n < SQL_WORD_MAX)
			word->bytes[n] = c & 0xdf;
	}
	return 0;
}

/* The first word of an SQL statement, behind blanks, parentheses and comments. */
__noinline int statement_word(struct word *word, const struct go_string *of)
{
	struct statement_head head = {};
	__u32 gap = GAP_BLANK;
	__u8 skip = 0;

	if (!word || !of)
		return 0;
	word->len = 0;
	if (read_text(head.text, STATEMENT_HEAD - 1, of->ptr, of->len > 0xffff ? 0xffff : of->len) < 0)
		return -1;
	for (__u32 i = 0; i <= STATEMENT_GAP; i++) {
		__u8 c = head.text[i], next = head.text[i + 1];

		if (skip) {
			skip = 0;
			continue;
		}
		if (gap == GAP_LINE_COMMENT) {
			if (c == '\n')
				gap = GAP_BLANK;
			continue;
		}
		if (gap == GAP_BLOCK_COMMENT) {
			if (c == '*' && next == '/') {
				gap = GAP_BLANK;
				skip = 1;
			}
			continue;
		}
		if (is_letter(c))
			return word_at(word, &head, i);
		if (c == '-' && next == '-') {
			gap = GAP_LINE_COMMENT;
			skip = 1;
		} else if (c == '/' && next == '*') {
			gap = GAP_BLOCK_COMMENT;
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
