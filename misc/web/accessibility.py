"""Names for screen readers that Gradio's parts lack, and colours that can be read.

Gradio 6 gives the button of an upload a name without the words on it, the button around an image none, and what is
empty a name that its role may not have. Its parts are drawn again as values change, so the script looks at the page
after each change.
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
