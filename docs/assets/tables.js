// Tables that are wider than the page can be scrolled by keyboard too: the theme lays each in a box that only a mouse moves.
const open_tables = () => {
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) {
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", "Table");
  }
};
new MutationObserver(open_tables).observe(document.body, { childList: true, subtree: true });
open_tables();
