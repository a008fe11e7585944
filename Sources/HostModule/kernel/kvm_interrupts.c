// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The private interrupts of every CPU that guests make: virtual timer and GIC maintenance. */
#include <linux/acpi.h>
#include <linux/cpuhotplug.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/of.h>
#include <linux/of_irq.h>
#include <linux/percpu.h>

#include "kvm.h"

/* Which interrupt of the timer's node is the virtual one, where they have no names. */
#define TIMER_NODE_VIRTUAL 2

static int timer_irq;
static int maintenance_irq;
/* Only its address is used, by which the kernel tells users of one interrupt apart. */
static DEFINE_PER_CPU(u8, cookie);

/* The kernel's own drivers have mapped these interrupts already; mapping them again finds that. */
static int irq_of_node(const char *compatible, const char *name, int index)
{
	struct device_node *node = of_find_compatible_node(NULL, NULL, compatible);
	int irq;

	if (!node)
		return 0;
	irq = name ? of_irq_get_byname(node, name) : 0;
	if (irq <= 0)
		irq = irq_of_parse_and_map(node, index);
	of_node_put(node);
	return irq > 0 ? irq : 0;
}

#ifdef CONFIG_ACPI
static int irq_of_gsi(u32 gsi, bool is_edge, bool is_low)
{
	int irq = gsi ? acpi_register_gsi(NULL, gsi, is_edge ? ACPI_EDGE_SENSITIVE : ACPI_LEVEL_SENSITIVE,
					  is_low ? ACPI_ACTIVE_LOW : ACPI_ACTIVE_HIGH)
		      : 0;

	return irq > 0 ? irq : 0;
}

static void find_in_acpi(void)
{
	struct acpi_table_header *header;

	if (ACPI_SUCCESS(acpi_get_table(ACPI_SIG_GTDT, 0, &header))) {
		struct acpi_table_gtdt *gtdt = (struct acpi_table_gtdt *)header;

		timer_irq = irq_of_gsi(gtdt->virtual_timer_interrupt,
				       gtdt->virtual_timer_flags & ACPI_GTDT_INTERRUPT_MODE,
				       gtdt->virtual_timer_flags & ACPI_GTDT_INTERRUPT_POLARITY);
		acpi_put_table(header);
	}
	if (ACPI_SUCCESS(acpi_get_table(ACPI_SIG_MADT, 0, &header))) {
		u8 *entry = (u8 *)header + sizeof(struct acpi_table_madt);
		u8 *end = (u8 *)header + header->length;

		/* All CPUs have the same one, or the kernel's own KVM would not use it either. */
		while (entry + sizeof(struct acpi_subtable_header) <= end && !maintenance_irq) {
			struct acpi_subtable_header *subtable = (struct acpi_subtable_header *)entry;
			struct acpi_madt_generic_interrupt *cpu = (struct acpi_madt_generic_interrupt *)entry;

			if (subtable->length < sizeof(*subtable))
				break;
			if (subtable->type == ACPI_MADT_TYPE_GENERIC_INTERRUPT &&
			    entry + offsetofend(struct acpi_madt_generic_interrupt, vgic_interrupt) <= end)
				maintenance_irq = irq_of_gsi(cpu->vgic_interrupt,
							     cpu->flags & ACPI_MADT_VGIC_IRQ_MODE, false);
			entry += subtable->length;
		}
		acpi_put_table(header);
	}
}
#else
static void find_in_acpi(void)
{
}
#endif

/*
 * The timer's interrupt is marked active before the host takes interrupts, so that it arrives
 * here only when something went astray; it must not come again for ever.
 */
static irqreturn_t on_timer(int irq, void *unused)
{
	martlet_kvm_timer_fired();
	return IRQ_HANDLED;
}

/* The interrupt has made the guest leave, which is all that it is for: EL2 has switched the
 * virtual interface off, and with it what asserts the interrupt. */
static irqreturn_t on_maintenance(int irq, void *unused)
{
	return IRQ_HANDLED;
}

static void enable(int irq)
{
	u32 type = irq_get_trigger_type(irq);

	enable_percpu_irq(irq, type ? type : IRQ_TYPE_LEVEL_HIGH);
}

static int on_cpu_online(unsigned int cpu)
{
	enable(timer_irq);
	enable(maintenance_irq);
	return 0;
}

static int on_cpu_offline(unsigned int cpu)
{
	disable_percpu_irq(maintenance_irq);
	disable_percpu_irq(timer_irq);
	return 0;
}

int martlet_kernel_kvm_interrupts(void)
{
	int error;

	if (acpi_disabled) {
		timer_irq = irq_of_node("arm,armv8-timer", "virt", TIMER_NODE_VIRTUAL);
		maintenance_irq = irq_of_node("arm,gic-v3", NULL, 0);
	} else {
		find_in_acpi();
	}
	if (!timer_irq || !maintenance_irq) {
		pr_err("no guests: firmware does not tell the interrupt of the %s\n",
		       timer_irq ? "GIC's maintenance" : "virtual timer");
		return -ENODEV;
	}
	error = request_percpu_irq(timer_irq, on_timer, "martlet-timer", &cookie);
	if (error)
		return error;
	error = request_percpu_irq(maintenance_irq, on_maintenance, "martlet-maintenance", &cookie);
	if (error)
		goto free_timer;
	error = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "martlet/kvm:online", on_cpu_online, on_cpu_offline);
	if (error >= 0)
		return 0;
	free_percpu_irq(maintenance_irq, &cookie);
free_timer:
	free_percpu_irq(timer_irq, &cookie);
	return error;
}

u32 martlet_timer_intid(void)
{
	struct irq_data *data = irq_get_irq_data(timer_irq);

	return data ? (u32)irqd_to_hwirq(data) : 0;
}

void martlet_kernel_timer_active(u32 is_active)
{
	irq_set_irqchip_state(timer_irq, IRQCHIP_STATE_ACTIVE, is_active);
}
