/* SPDX-License-Identifier: MIT */
/* What the files of the nested guest share: a middle partition and its child. */
#ifndef GUESTS_NESTED_TESTS_H
#define GUESTS_NESTED_TESTS_H

#include "guests/nested/node.h"

void test_placement(struct node *middle, struct node *child);  /* placement.c */
void test_own_page(struct node *middle);                       /* placement.c */
void test_intercepts(struct node *middle, struct node *child); /* intercepts.c */
void test_memory(struct node *middle, struct node *child);     /* memory.c */
void test_running(struct node *middle, struct node *child);    /* running.c */
void test_end(struct node *middle);                            /* end.c */
void test_depth(void);                                         /* end.c */

/* Whether the first partition can read that byte of its own (false: #GP(0)). */
bool first_can_touch(const void *address);

/* The node reads a GPA: returns the message it ends in; its own stop: see node_result. */
uint32_t node_touch(struct node *n, uint64_t gpa);
/* The last message of the node is about that GPA and of that type. */
bool message_is(struct node *n, uint32_t got, uint32_t type, uint64_t gpa);

#endif
