"use strict";

// Orders to a rollout; the panels say what came of them.

addEventListener("submit", async (event) => {
  const form = event.target;
  if (!("orders" in form.dataset)) return;
  event.preventDefault();
  const told = Object.fromEntries(new FormData(form, event.submitter)), said = form.querySelector("output");
  try {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(form.action, { method: "POST", body: JSON.stringify(told), headers });
    const reply = await answer.json();
    if (!answer.ok) throw new Error([reply.error.message, reply.error.hint].filter(Boolean).join(". "));
    said.className = "";
    said.textContent = `Ordered: ${event.submitter.textContent.toLowerCase()}.`;
    form.querySelector("[name=why]").value = "";
  } catch (error) {
    said.className = "refused";
    said.textContent = error instanceof TypeError ? "The server cannot be reached." : error.message;
  }
});
