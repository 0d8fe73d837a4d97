/* SPDX-License-Identifier: MIT */
/*
 * A partition of the tree that the nested guest grows. Each one runs the same
 * program (server.asm), which carries out one command after another: a
 * hypercall through its own hypercall page, a copy of its memory, ... So a
 * partition at any depth creates, feeds and runs its child by the same code as
 * the first partition, which is node 0.
 */
#ifndef GUESTS_NESTED_NODE_H
#define GUESTS_NESTED_NODE_H

#include "guests/lib/guest.h"

enum node_layout { /* GPAs in a node's memory; server.asm has the first few as well */
                   NODE_CODE = 0x1000,
                   NODE_HYPERCALL_PAGE = 0x2000,
                   NODE_INPUT = 0x3000,
                   NODE_OUTPUT = 0x4000,
                   NODE_COMMAND = 0x5000,
                   NODE_TABLES = 0x6000, /* PML4, PDPT, PD; then PDPT and PD of one place more */
                   NODE_GDT = 0xB000,
                   NODE_TSS = 0xC000,
                   NODE_STACK = 0xF000,
                   NODE_SCRATCH = 0x10000,
                   NODE_PAGES = 0x20000,  /* places of its child's state pages (layered) */
                   NODE_SPARE = 0x100000, /* pages that it deposits or plays with, 1 MiB */
                   NODE_CHILD = 0x200000, /* its child's memory */
};
#define SPARE_PAGES 256
#define STOP_PORT   0x99

enum operation { /* server.asm */
                 OP_HYPERCALL,
                 OP_COPY,
                 OP_CPUID,
                 OP_COUNT, /* counts at [a] until [b] is not 0 */
                 OP_HALT,
                 OP_OUT,
                 OP_READ,
                 OP_WRITE,
};

struct node {
    struct node *parent; /* NULL: node 0, the first partition itself */
    uint64_t id;
    uint8_t *memory; /* in the first partition's memory: what the node sees at GPA 0 */
    uint64_t pages;
    uint64_t place; /* GPA of that memory in the parent's */
    uint64_t privileges;
    uint32_t spare_used; /* pages of NODE_SPARE that were deposited (node 0: to itself) */
    bool finalized;
    uint64_t state_pages[2]; /* where the parent sees them; 0: not mapped */
};

extern struct node root; /* node 0 */
extern const uint8_t server[], server_end[], server_stop[], server_take[];

/* Hypercalls in a node's name; node 0 makes them itself. Statuses are theirs. */
uint16_t node_call(struct node *n, uint16_t code, const void *input, size_t input_size,
                   void *output, size_t output_size);
uint16_t node_call_rep(struct node *n, uint16_t code, const void *header, size_t header_size,
                       const void *list, size_t element_size, uint32_t count, void *output,
                       size_t output_element_size, uint32_t *completed);

/*
 * Gives the node a command and runs it. Returns the type of the message that
 * stopped it (the server's own stop is HV_MESSAGE_IO_PORT), or CHILD_STOP_*.
 */
uint32_t node_command(struct node *n, enum operation operation, uint64_t a, uint64_t b, uint64_t c);
/* The two halves: give, then run (again). */
void node_give(struct node *n, enum operation operation, uint64_t a, uint64_t b, uint64_t c);
uint32_t node_run(struct node *n);
uint64_t node_result(const struct node *n);
/* True when that message is the server's own stop. */
bool node_stopped_itself(struct node *n, uint32_t type);

/* One dispatch. */
uint16_t node_dispatch(struct node *n, struct hv_output_dispatch_vp *output);

/* Memory as the node itself sees it, through a copy it makes (at most a page). */
void node_read(struct node *n, uint64_t gpa, void *to, size_t size);
void node_write(struct node *n, uint64_t gpa, const void *from, size_t size);
/* Makes the node's page tables reach a GPA outside its first GiB. */
void node_reach(struct node *n, uint64_t gpa);

/* The message and register page of a node as its parent sees them. */
void node_message(struct node *n, struct hv_message *message);
void node_registers(struct node *n, struct hv_register_page *page);

/* Calls about node n, made by its parent. */
uint16_t node_deposit(struct node *n, uint32_t count);
uint32_t
node_withdraw_all(struct node *n); /* returns how many came back; zeroed or a failed test */
uint16_t node_balance(struct node *n, struct hv_output_memory_balance *balance);
uint16_t node_map(struct node *n, gpn_t gpn, gpn_t source, uint64_t count, uint32_t flags);
uint16_t node_unmap(struct node *n, gpn_t gpn, uint64_t count);
uint16_t node_set(struct node *n, uint32_t name, uint64_t low, uint64_t high);
uint16_t node_get(struct node *n, uint32_t name, struct hv_register_value *value);
uint16_t node_map_state_page(struct node *n, uint16_t type, uint8_t flags, gpn_t wanted,
                             gpn_t *location);
uint16_t node_unmap_state_page(struct node *n, uint16_t type);
/* Shows a state page to the parent as the parent's role has it. Bails out when it cannot. */
void node_show(struct node *n, uint16_t type);
/* They went with the VP. */
void node_forget_state_pages(struct node *n);

/* Creates a child of `parent` up to the first stop of its server. Bails out when it cannot. */
void node_open(struct node *n, struct node *parent, uint64_t pages, uint64_t privileges,
               uint32_t map_flags);
/* Made of: created with its privileges (status), then the rest. */
uint16_t node_create(struct node *n, struct node *parent, uint64_t pages, uint64_t privileges);
void node_finish(struct node *n, uint32_t map_flags);
/* Unmaps the state pages, finalizes, withdraws, deletes. True: all worked, all zeroed. */
bool node_close(struct node *n);
/* The end of the memory of a child of the first partition. */
void node_free(struct node *n);

static inline bool node_is_layered(const struct node *n)
{
    return !(n->privileges & (1UL << 44)); /* CpuManagement */
}

#endif
