"""The head and its loss in one piece: logits are large, and written and read only once here.

With p the target's distribution, known for its likeliest tokens only, and q the draft's (Softmax over its head's
rows), per position: cross-entropy -sum p log q, and total variation 1 - sum min(p, q), which is the
chance that a sampled guess is refused. Both gradients by logits are known in closed form:
q * sum(p) - p, and q * m - q where q < p, with m = sum of q where q < p.
"""

import torch

ROWS_AT_ONCE = 256  # [positions, head rows] in float32: 12 MB for 12,288, which stays in the cache


class HeadLoss(torch.autograd.Function):
    """Mean of cross-entropy + tv_weight * total variation over positions.

    hidden float32 [positions, hidden], head float32 [rows, hidden], teacher_rows int64 [positions, n] with
    -1 for tokens that the head lacks, teacher_probs float32 of the same shape. Fills `report`, float32
    [3], with cross-entropy, overlap and greedy agreement.
    """

    @staticmethod
    def forward(ctx, hidden, head, teacher_rows, teacher_probs, tv_weight, report):
        x, w = hidden.to(torch.bfloat16), head.to(torch.bfloat16)
        count = len(x)
        grads = torch.empty(count, len(w), dtype=torch.bfloat16)  # by logits, times count
        sums = torch.zeros(3)
        for start in range(0, count, ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            known = teacher_rows[part] >= 0
            index = teacher_rows[part].clamp(min=0)
            p = teacher_probs[part] * known
            q = (x[part] @ w.T).softmax(-1, dtype=torch.float32)
            q_known = q.gather(1, index)
            below = (q_known < p) & known
            sums[0] -= (p * q_known.clamp(min=1e-30).log()).sum()
            sums[1] += torch.minimum(p, q_known * known).sum()
            sums[2] += (q.argmax(-1) == teacher_rows[part, 0]).sum()
            mass_below = (q_known * below).sum(-1, keepdim=True)
            grad = q.mul_(p.sum(-1, keepdim=True) + tv_weight * mass_below)
            grad.scatter_add_(1, index, -p - tv_weight * q_known * below)
            grads[part] = grad
        grad_x, grad_w = grads @ w / count, (grads.T @ x).float().div_(count)
        ctx.save_for_backward(grad_x, grad_w)
        report.copy_(sums / count)
        return report[0] + tv_weight * (1 - report[1])

    @staticmethod
    def backward(ctx, grad_output):
        grad_x, grad_w = ctx.saved_tensors
        return grad_output * grad_x.float(), grad_output * grad_w, None, None, None, None
