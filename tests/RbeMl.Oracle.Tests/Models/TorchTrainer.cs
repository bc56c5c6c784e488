using RbeMl.Layers;
using RbeMl.Oracle.Tests.Reference;
using RbeMl.Oracle.Tests.Support;
using RbeMl.Training;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Models;

/// <summary>Trains torch's model as the options say: torch.optim.AdamW for each leaf, with the learning rate and decay its kind has.</summary>
internal sealed class TorchTrainer
{
    private readonly TorchModel _model;
    private readonly TrainerOptions _options;
    private readonly List<(ParameterSlice? Slice, Tensor Leaf, optim.Optimizer Optimizer)> _leaves = [];

    /// <summary>Makes the optimisers.</summary>
    /// <param name="model">The model; its leaves are changed by steps.</param>
    /// <param name="slices">Kinds and rate factors by name; leaves not among them are dense matrices.</param>
    /// <param name="options">Learning rate, decay, betas, clipping, preconditioning.</param>
    /// <param name="more">Leaves beside the model's; null for none.</param>
    public TorchTrainer(TorchModel model, IReadOnlyDictionary<string, ParameterSlice> slices, TrainerOptions options,
        IEnumerable<(string Name, Tensor Tensor)>? more = null)
    {
        _model = model;
        _options = options;
        AdamWOptions adamW = (AdamWOptions)options.Optimizer;
        foreach ((string name, Tensor leaf) in model.Parameters.Concat(more ?? []))
        {
            ParameterSlice? slice = slices.GetValueOrDefault(name);
            double decay = slice?.Kind is ParameterKind.Bias or ParameterKind.LayerNorm ? 0 : options.WeightDecay;
            double rate = options.LearningRate * (slice?.RateScale ?? 1);
            _leaves.Add((slice, leaf, optim.AdamW([(Parameter)leaf], rate, adamW.Beta1, adamW.Beta2, adamW.Epsilon, decay)));
        }
    }

    /// <summary>Loss of a batch, its gradients left in the leaves.</summary>
    public double LossAndGradients(Tensor tokens, Tensor targets, TorchBlockOptions options) =>
        LossAndGradients(() => TorchGpt2.Loss(TorchGpt2.Logits(tokens, _model, options), targets));

    /// <summary>A loss of the leaves, its gradients left in them.</summary>
    public double LossAndGradients(Func<Tensor> compute)
    {
        foreach ((_, _, optim.Optimizer optimizer) in _leaves) optimizer.zero_grad();
        Tensor loss = compute();
        loss.backward();
        return loss.to(float64).item<double>();
    }

    /// <summary>One step with the leaves' gradients: clipped by their common norm, those of alphas multiplied by the inverse Gram matrix.</summary>
    public void Step()
    {
        using IDisposable constant = no_grad();
        double norm = Math.Sqrt(_leaves.Sum(l => l.Leaf.grad!.square().sum().item<double>()));
        double scale = _options.Clip > 0 && norm > _options.Clip ? _options.Clip / norm : 1;
        foreach ((ParameterSlice? slice, Tensor leaf, optim.Optimizer optimizer) in _leaves)
        {
            Tensor gradient = leaf.grad! * scale;
            if (_options.PreconditionAlphas && slice?.Gram is { } gram)
            {
                // Scaled to a mean diagonal of 1 and damped by 1e-3.
                Tensor g = Tensors.From(gram, 8, 8);
                gradient = gradient.matmul(linalg.inv((g / g.diag().mean()) + (1e-3 * eye(8, dtype: float64))).to(gradient.dtype));
            }

            leaf.grad = gradient;
            optimizer.step();
        }
    }
}
