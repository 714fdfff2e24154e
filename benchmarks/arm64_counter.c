/*
 * A QEMU plugin: how many instructions a program had executed whenever it asked for its parent's process id.
 *
 * The question is the program's way to say "now": nothing else asks it, and QEMU shows system calls to plugins. So what
 * lies between two marks is counted, and how long the program took to start does not matter.
 */
#include <inttypes.h>
#include <stdio.h>

#include <qemu-plugin.h>

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

enum { GETPPID = 173 }; /* on arm64 Linux */

static qemu_plugin_u64 executed;

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
        qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(qemu_plugin_tb_get_insn(block, i),
                                                            QEMU_PLUGIN_INLINE_ADD_U64, executed, 1);
    }
}

static void called(qemu_plugin_id_t id, unsigned int cpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                   uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)cpu, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number != GETPPID) return;
    char line[64];
    snprintf(line, sizeof line, "executed: %" PRIu64 "\n", qemu_plugin_u64_sum(executed));
    qemu_plugin_outs(line);
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int count, char **options)
{
    (void)info, (void)count, (void)options;
    executed = qemu_plugin_scoreboard_u64(qemu_plugin_scoreboard_new(sizeof(uint64_t)));
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
