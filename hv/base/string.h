/* SPDX-License-Identifier: MIT */
/* The few memory and string functions that a freestanding image needs. */
#ifndef HV_BASE_STRING_H
#define HV_BASE_STRING_H

#include "hv/base/types.h"

void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t size);

#endif
