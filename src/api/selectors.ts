/** Label selection, as `metav1.LabelSelectorAsSelector` defines it. */
import type { LabelSelector, LabelSelectorRequirement } from './meta.ts';

type Labels = Readonly<Record<string, string>>;

/** Says whether labels match a selector. An absent selector matches nothing, an empty one everything. */
export function matchesSelector(selector: LabelSelector | undefined, labels: Labels | undefined): boolean {
  if (selector === undefined) return false;
  return (
    matchesLabels(selector.matchLabels, labels) &&
    (selector.matchExpressions ?? []).every((requirement) => matchesRequirement(requirement, labels ?? {}))
  );
}

/** Says whether labels carry all the wanted ones (a `nodeSelector`). Nothing wanted matches everything. */
export function matchesLabels(wanted: Labels | undefined, labels: Labels | undefined): boolean {
  return Object.entries(wanted ?? {}).every(([key, value]) => own(labels ?? {}, key) === value);
}

function matchesRequirement({ key, operator, values }: LabelSelectorRequirement, labels: Labels): boolean {
  const value = own(labels, key);
  switch (operator) {
    case 'In':
      return value !== undefined && (values ?? []).includes(value);
    case 'NotIn':
      return value === undefined || !(values ?? []).includes(value);
    case 'Exists':
      return value !== undefined;
    default:
      operator satisfies 'DoesNotExist';
      return value === undefined;
  }
}

function own(labels: Labels, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}
