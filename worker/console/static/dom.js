// Builds elements. Every text becomes a text node, so that no text is ever HTML.

// Characters that do not show, or that show other text in another order. Workers escape the same.
const DECEPTIVE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu;

export function visible(value) {
  return String(value).replace(DECEPTIVE, (letter) => {
    const code = letter.codePointAt(0).toString(16);
    return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, "0")}`;
  });
}

export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    } else if (name === "vars") {
      for (const [key, number] of Object.entries(value)) element.style.setProperty(key, number);
    } else {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false || child === "") continue;
    if (Array.isArray(child)) add(element, child);
    else element.append(child instanceof Node ? child : visible(child));
  }
}

// Keyboard users stay on the same link or button, although it is a new element.
export function replace(parent, ...children) {
  const before = document.activeElement;
  const focused = before !== parent && parent.contains(before) ? before : null;
  parent.replaceChildren();
  add(parent, children);
  if (focused) [...parent.querySelectorAll(focused.localName)].find((element) => isSame(element, focused))?.focus({ preventScroll: true });
}

function isSame(element, other) {
  const name = ["href", "aria-label"].find((attribute) => other.hasAttribute(attribute));
  return name ? element.getAttribute(name) === other.getAttribute(name) : element.textContent === other.textContent;
}

// Makes the children of `parent` those of `rows`. An element stays as long as its row is the same,
// so that the focus and a selection stay, too.
export function reconcile(parent, rows, keyOf, render) {
  const known = (parent.rendered ??= new Map());
  const next = new Map();
  let place = parent.firstElementChild;
  for (const row of rows) {
    const key = keyOf(row);
    const text = JSON.stringify(row);
    const old = known.get(key);
    let element = old?.element;
    if (!old || old.text !== text) {
      element = render(row);
      if (old?.element.isConnected) {
        if (old.element === place) place = element;
        old.element.replaceWith(element);
      }
    }
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
    next.set(key, { element, text });
  }
  while (place) {
    const after = place.nextElementSibling;
    place.remove();
    place = after;
  }
  parent.rendered = next;
}
