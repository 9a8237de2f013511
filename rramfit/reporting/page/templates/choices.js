// Blocks with a choice (figures and tables of one parameter): show those of one, chosen from a list.
(() => {
  for (const section of document.querySelectorAll("section[data-chooser]")) {
    const blocks = [...section.querySelectorAll("[data-choice]")];
    const names = [...new Set(blocks.map((block) => block.dataset.choice))];
    if (names.length < 2) continue;
    const label = document.createElement("label"), list = document.createElement("select");
    label.className = "chooser";
    names.forEach((name) => list.append(new Option(name, name)));
    label.append(section.dataset.chooser, list);
    const show = () => {
      for (const block of blocks) block.hidden = block.dataset.choice !== list.value;
    };
    list.addEventListener("change", show);
    section.querySelector(".blocks").before(label);
    show();
  }
})();
