import { replace } from "./dom.js";
import { empty, title } from "./parts.js";

export async function show(root) {
  replace(root, title("Archive"), empty("Not built yet."));
  return null;
}
