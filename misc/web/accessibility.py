"""Names for screen readers that Gradio's parts lack, and colours that can be read.

In Gradio 6, the accessible name of the upload button does not contain its visible words, the button around an image has
no name, and empty elements have a name that their role does not allow. Gradio renders its components again when values
change, so the script checks the page after each change.
"""

from __future__ import annotations

import gradio as gr

__all__ = ["CSS", "SCRIPT", "THEME"]

# Gradio's grey on grey and white on orange are hard to read.
CSS = ".upload-container .or, button:disabled { color: inherit !important; opacity: 1 !important }"
THEME = gr.themes.Default(
    primary_hue="indigo", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
).set(
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover="*primary_600",
    button_primary_background_fill_hover_dark="*primary_600",
)
SCRIPT = """() => {
  const put = (element, name, value) => element.getAttribute(name) === value || element.setAttribute(name, value);
  const words = (element) => element?.textContent.trim().replace(/\\s+/g, " ") ?? "";
  const label = (element) => words(element.closest(".block")?.querySelector("[data-testid=block-label], label"));
  const mend = () => {
    for (const each of document.querySelectorAll("button.upload-container"))
      put(each, "aria-label", `${label(each)}: ${words(each)}`);
    for (const each of document.querySelectorAll(".image-container button:has(img)"))
      put(each, "aria-label", label(each));
    for (const each of document.querySelectorAll(".empty[aria-label]")) put(each, "role", "img");
  };
  new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
  mend();
}"""
