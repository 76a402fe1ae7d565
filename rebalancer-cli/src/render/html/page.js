for (const button of document.querySelectorAll(".query button")) {
  const code = button.nextElementSibling;
  const say = (word) => {
    button.textContent = word;
    setTimeout(() => (button.textContent = "Copy"), 2000);
  };
  const select = () => {
    getSelection().selectAllChildren(code);
    say("Press Ctrl+C");
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    if (!navigator.clipboard) return select();
    navigator.clipboard.writeText(code.textContent).then(() => say("Copied"), select);
  });
}
