// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* What only the kernel knows of the machine: CPUs, the resource tree, the device tree. */
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/ioport.h>
#include <linux/of.h>
#include <linux/of_address.h>
#include <linux/stop_machine.h>
#include <linux/string.h>
#include <asm/cputype.h>
#include <asm/sysreg.h>

#include "binding.h"

#ifdef CONFIG_PREEMPT_RT
#error "the resource tree cannot be read safely on PREEMPT_RT, whose locks may be preempted"
#endif

struct visit {
	struct martlet_survey *survey;
	u64 call; /* 0 = survey */
};

static struct martlet_cpu *find_cpu(struct martlet_survey *survey, u32 id)
{
	u32 i;

	for (i = 0; i < survey->recorded_cpus; i++)
		if (survey->cpu[i].id == id)
			return &survey->cpu[i];
	return NULL;
}

static void read_cpu(struct martlet_cpu *cpu)
{
	u64 features = read_sysreg(id_aa64pfr0_el1);

	cpu->affinity = read_sysreg(mpidr_el1) & MPIDR_HWID_BITMASK;
	cpu->exception_level = (u32)(read_sysreg(CurrentEL) >> 2);
	/* ICC_SRE_EL1 is undefined where ID_AA64PFR0_EL1.GIC says so. */
	cpu->gic_system_registers = features & (0xful << ID_AA64PFR0_EL1_GIC_SHIFT) ?
					    (u32)read_sysreg_s(SYS_ICC_SRE_EL1) & 1 : 0;
}

/*
 * The lock of the resource tree is the kernel's own. While stop_machine runs, every other CPU
 * is in its stopper thread, so that none is inside a section that holds a spinning lock: the
 * tree is whole and stands still.
 */
static void read_resources(struct martlet_survey *survey)
{
	struct resource *entry = iomem_resource.child;
	u32 depth = 0;

	while (entry) {
		bool is_ram = (entry->flags & IORESOURCE_SYSTEM_RAM) == IORESOURCE_SYSTEM_RAM;
		bool is_reserved = entry->name && !strcmp(entry->name, "reserved") &&
				   resource_type(entry) == IORESOURCE_MEM;

		if (is_ram || (is_reserved && depth == 0)) {
			if (survey->resource_count < MARTLET_MAX_RESOURCES)
				survey->resource[survey->resource_count++] = (struct martlet_resource){
					.first = entry->start,
					.last = entry->end,
					.is_system_ram = is_ram,
					.is_named_reserved = is_reserved,
					.depth = depth,
				};
			else
				survey->resources_left_out++;
		}
		/* What lies inside system RAM says who uses it; what lies inside a device may be
		 * RAM that the device brought. */
		if (entry->child && !is_ram) {
			entry = entry->child;
			depth++;
			continue;
		}
		while (!entry->sibling && entry->parent && entry->parent != &iomem_resource) {
			entry = entry->parent;
			depth--;
		}
		entry = entry->sibling;
	}
}

static int visit_cpu(void *data)
{
	struct visit *visit = data;
	struct martlet_cpu *cpu = find_cpu(visit->survey, raw_smp_processor_id());

	if (!cpu)
		return 0;
	if (visit->call) {
		cpu->answer = martlet_kernel_host_call(visit->call, 0, 0, 0).x[0];
		return 0;
	}
	read_cpu(cpu);
	if (cpu == &visit->survey->cpu[0])
		read_resources(visit->survey);
	return 0;
}

static void read_denied_devices(struct martlet_survey *survey)
{
	struct device_node *node = NULL;

	/* Each step takes a reference on the next node and drops the last one's. */
	while ((node = of_find_all_nodes(node))) {
		struct resource frame;
		const char *compatible;
		bool denied = false;
		int i;

		for (i = 0; !of_property_read_string_index(node, "compatible", i, &compatible); i++)
			if (martlet_is_denied_device((const u8 *)compatible, strlen(compatible)))
				denied = true;
		if (!denied)
			continue;
		for (i = 0; !of_address_to_resource(node, i, &frame); i++) {
			if (survey->resource_count == MARTLET_MAX_RESOURCES) {
				survey->resources_left_out++;
				break;
			}
			survey->resource[survey->resource_count++] = (struct martlet_resource){
				.first = frame.start,
				.last = frame.end,
				.is_denied_device = 1,
			};
		}
	}
}

int martlet_kernel_survey(struct martlet_survey *survey)
{
	struct visit visit = { .survey = survey };
	int cpu, error;

	/* From here on the set of online CPUs stands still, until the module releases it. */
	cpu_hotplug_disable();
	survey->page_size = PAGE_SIZE;
	martlet_read_boot_mode(survey->boot_mode);
	survey->online_cpus = num_online_cpus();
	for_each_online_cpu(cpu)
		if (survey->recorded_cpus < MARTLET_MAX_CPUS)
			survey->cpu[survey->recorded_cpus++].id = cpu;
	for_each_present_cpu(cpu)
		if (!cpu_online(cpu) && !survey->has_offline_cpu) {
			survey->has_offline_cpu = 1;
			survey->offline_cpu = cpu;
		}
	error = stop_machine(visit_cpu, &visit, cpu_online_mask);
	if (!error)
		read_denied_devices(survey);
	return error;
}

void martlet_kernel_release(void)
{
	cpu_hotplug_enable();
}

int martlet_kernel_probe(struct martlet_survey *survey, u64 call)
{
	struct visit visit = { .survey = survey, .call = call };

	return stop_machine(visit_cpu, &visit, cpu_online_mask);
}

struct take_over {
	struct martlet_survey *survey;
	void *context;
};

static int take_over_cpu(void *data)
{
	struct take_over *take_over = data;
	struct martlet_cpu *cpu = find_cpu(take_over->survey, raw_smp_processor_id());

	if (cpu)
		martlet_take_over(take_over->context, (u32)(cpu - take_over->survey->cpu), cpu->id);
	return 0;
}

int martlet_kernel_stop_machine(struct martlet_survey *survey, void *context)
{
	struct take_over take_over = { .survey = survey, .context = context };

	return stop_machine(take_over_cpu, &take_over, cpu_online_mask);
}
