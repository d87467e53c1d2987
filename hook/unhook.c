/* SPDX-License-Identifier: MIT */
/*
 * Tuck's own calls must stay libc's: when its poller waits, the proc does. In
 * the library that is preloaded they would come here as everybody's, so the
 * entries of Tuck's own table of functions are set to what comes after.
 *
 * The same is done to a library that brings a malloc(): it may hold a lock of
 * pthread.h while it allocates, and a tasklet that waits for such a lock would
 * need memory for that (rule S7).
 *
 * Why not otherwise: who called is seen by the return address only if it was
 * no tail call.
 */
#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hook/hook.h"

/* What an object's dynamic section says. */
struct object {
	const char *base;
	const ElfW(Sym) * symbols;
	const char *names;
	const ElfW(Rela) * tables[2];
	size_t bytes[2];
	const ElfW(Phdr) * relro;
};

static const void *self_base;

static const void *base_of(const void *p)
{
	Dl_info info;

	return p && dladdr(p, &info) ? info.dli_fbase : NULL;
}

/* Some linkers' addresses are those in the file. */
static const void *at(const struct object *o, ElfW(Addr) p)
{
	return p < (uintptr_t)o->base ? o->base + p :
					o->base + (p - (uintptr_t)o->base);
}

static void read_dynamic(struct object *o, const ElfW(Dyn) * d)
{
	for (; d->d_tag != DT_NULL; d++) {
		switch (d->d_tag) {
		case DT_SYMTAB: o->symbols = at(o, d->d_un.d_ptr); break;
		case DT_STRTAB: o->names = at(o, d->d_un.d_ptr); break;
		case DT_JMPREL: o->tables[0] = at(o, d->d_un.d_ptr); break;
		case DT_PLTRELSZ: o->bytes[0] = d->d_un.d_val; break;
		case DT_RELA: o->tables[1] = at(o, d->d_un.d_ptr); break;
		case DT_RELASZ: o->bytes[1] = d->d_un.d_val; break;
		}
	}
}

/* The table may have been write-protected when the object was loaded. */
static void set(void **slot, void *fn)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	char *from = (char *)slot - ((uintptr_t)slot & (page - 1));

	if (mprotect(from, page, PROT_READ | PROT_WRITE) == 0)
		*slot = fn;
}

static void unhook(const struct object *o, const ElfW(Rela) * r)
{
	const ElfW(Sym) *symbol = &o->symbols[ELF64_R_SYM(r->r_info)];
	const char *name = o->names + symbol->st_name;
	void **slot = (void **)(uintptr_t)(o->base + r->r_offset);
	void *next;

	if (ELF64_R_SYM(r->r_info) == 0 || symbol->st_shndx != SHN_UNDEF ||
	    base_of(dlsym(RTLD_DEFAULT, name)) != self_base)
		return;
	next = dlsym(RTLD_NEXT, name);
	if (next)
		set(slot, next);
}

static int visit(struct dl_phdr_info *info, size_t n, void *arg)
{
	struct object o = { .base = (const char *)info->dlpi_addr };
	const ElfW(Dyn) *dynamic = NULL;

	(void)n;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
			dynamic = (const void *)(o.base +
						 info->dlpi_phdr[i].p_vaddr);
	if (o.base != arg || !dynamic)
		return 0;
	read_dynamic(&o, dynamic);
	for (int t = 0; t < 2; t++)
		for (size_t i = 0; i < o.bytes[t] / sizeof(ElfW(Rela)); i++)
			unhook(&o, &o.tables[t][i]);
	return 1;
}

static void unhook_object_of(const char *name)
{
	const void *base = base_of(dlsym(RTLD_NEXT, name));

	if (base && base != base_of(dlsym(RTLD_NEXT, "gnu_get_libc_version")))
		__real_dl_iterate_phdr(visit, (void *)(uintptr_t)base);
}

static __attribute__((__constructor__)) void unhook_ours(void)
{
	self_base = base_of(&self_base);
	unhook_object_of("tuck_yield");
	unhook_object_of("malloc");
}
