using RbeMl.Models;
using RbeMl.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace RbeMl.Benchmarks.Training;

/// <summary>
/// The peer: the dense model in torch, of the same first weights, batches, rates, clipping and average. Its AdamW is torch's own; Muon is
/// written with torch's products as it was published (five steps of Newton and Schulz), its steps of the size of the library's.
/// </summary>
internal sealed class TorchTrainingRun : ITrainingRun
{
    // Of Jordan et al.
    private const double A = 3.4445, B = -4.7750, C = 2.0315, Momentum = 0.95, StepSize = 0.2;
    private const int NewtonSteps = 5, FusedParts = 3;

    private static readonly AdamWOptions s_adamW = new();
    private readonly TrainerOptions _options;
    private readonly TokenDataset _train, _held;
    private readonly DenseGpt2 _model;
    private readonly Parameter[] _parameters, _matrices;
    private readonly (optim.Optimizer Optimizer, double Rate)[] _optimizers;
    private readonly Tensor[] _momenta = [];
    private readonly Tensor[] _averages = [];
    private readonly double _matrixRate;
    private readonly int[] _inputs, _targets;
    private readonly DisposeScope _scope = NewDisposeScope();
    private int _step;

    public TorchTrainingRun(TrainingSetting setting, TrainingWay way, int steps, ulong seed)
    {
        set_num_threads(setting.Threads);
        _options = setting.Options(way, steps, seed).Validate();
        (_train, _held) = (setting.Train(seed), setting.Held);
        _model = new DenseGpt2(TransformerWeights.CreateRandom(setting.Config(way.Width), way.Compression, seed));
        _parameters = [.. _model.Parameters];
        _matrices = [.. _model.Blocks.SelectMany(b => (Parameter[])[b.QkvWeight, b.OutputWeight, b.ExpandWeight, b.ContractWeight])];
        Parameter[] tables = [_model.Tokens, _model.Positions], vectors = [.. _parameters.Where(p => p.shape.Length == 1)];
        _matrixRate = way.Rate ?? _options.LearningRate;
        _optimizers = [AdamW(tables, _options.LearningRate, _options.WeightDecay), AdamW(vectors, _options.LearningRate, 0)];
        if (way.Optimizer == new MuonOptions().Name) _momenta = [.. _matrices.Select(m => zeros_like(m))];
        else _optimizers = [.. _optimizers, AdamW(_matrices, _matrixRate, _options.WeightDecay)];
        if (_options.AverageHorizon > 0) _averages = [.. _parameters.Select(p => p.detach().clone())];
        (_inputs, _targets) = (new int[_options.BatchSize * _options.Context], new int[_options.BatchSize * _options.Context]);
    }

    /// <inheritdoc/>
    public long Values => _parameters.Sum(p => p.numel());

    /// <inheritdoc/>
    public long OptimizerBytes => sizeof(float) * ((2 * Values) - (_momenta.Length > 0 ? _matrices.Sum(m => m.numel()) : 0) + _averages.Sum(a => a.numel()));

    /// <inheritdoc/>
    public void Step()
    {
        using DisposeScope scope = NewDisposeScope();
        double factor = LearningRate.Factor(_options, _step, _step / (double)_options.Steps);
        _train.Fill(_step++, _options.BatchSize, _options.Context, _inputs, _targets);
        foreach (Parameter parameter in _parameters)
        {
            parameter.grad?.Dispose();
            parameter.grad = null;
        }

        _model.Loss(Ids(_inputs), Ids(_targets)).backward();
        nn.utils.clip_grad_norm_(_parameters, _options.Clip);
        using IDisposable none = no_grad();
        foreach ((optim.Optimizer optimizer, double rate) in _optimizers)
        {
            foreach (optim.ILearningRateController group in optimizer.ParamGroups) group.LearningRate = rate * factor;
            optimizer.step();
        }

        for (int i = 0; i < _momenta.Length; i++) Muon(_matrices[i], _momenta[i], _matrixRate * factor);
        double moved = WeightAverage.RateOf(_step, Math.Max(1, _options.AverageHorizon));
        for (int i = 0; i < _averages.Length; i++) _averages[i].lerp_(_parameters[i], moved);
    }

    /// <inheritdoc/>
    public double Validate()
    {
        using IDisposable none = no_grad();
        Exchange();
        double sum = 0;
        int context = _options.Context;
        long sequences = _held.EpochSequences(context)!.Value;
        for (long first = 0; first < sequences; first += _options.BatchSize)
        {
            using DisposeScope scope = NewDisposeScope();
            int count = (int)Math.Min(_options.BatchSize, sequences - first);
            _held.Fill(first / _options.BatchSize, _options.BatchSize, context, _inputs, _targets);
            sum += count * _model.Loss(Ids(_inputs).narrow(0, 0, count), Ids(_targets).narrow(0, 0, count)).item<float>();
        }

        Exchange();
        return sum / sequences;
    }

    /// <inheritdoc/>
    public long FileBytes() => sizeof(float) * Values;

    /// <inheritdoc/>
    public void Dispose() => _scope.Dispose();

    private static (optim.Optimizer Optimizer, double Rate) AdamW(Parameter[] group, double rate, double decay) =>
        (optim.AdamW(group, rate, s_adamW.Beta1, s_adamW.Beta2, s_adamW.Epsilon, decay), rate);

    // Queries, keys and values lie in one matrix: each is made orthogonal by itself.
    private void Muon(Parameter matrix, Tensor momentum, double rate)
    {
        Tensor gradient = matrix.grad!.mul(1 - Momentum);
        momentum.mul_(Momentum).add_(gradient);
        Tensor direction = gradient.add(momentum, alpha: Momentum);
        bool fused = matrix.shape[0] == FusedParts * matrix.shape[1];
        direction = fused ? cat([.. direction.chunk(FusedParts, 0).Select(Orthogonal)], 0) : Orthogonal(direction);
        matrix.mul_(1 - (rate * _options.WeightDecay)).add_(direction, alpha: -rate);
    }

    private static Tensor Orthogonal(Tensor direction)
    {
        bool wide = direction.shape[1] > direction.shape[0];
        Tensor x = wide ? direction.t() : direction;
        x = x.div(x.norm().add(1e-7));
        for (int i = 0; i < NewtonSteps; i++)
        {
            Tensor gram = x.t().mm(x);
            x = x.mul(A).add(x.mm(gram.mul(B).add(gram.mm(gram), alpha: C)));
        }

        Tensor scaled = x.mul(StepSize).div(x.pow(2).mean().sqrt());
        return wide ? scaled.t() : scaled;
    }

    private void Exchange()
    {
        for (int i = 0; i < _averages.Length; i++)
        {
            using Tensor kept = _parameters[i].detach().clone();
            _parameters[i].copy_(_averages[i]);
            _averages[i].copy_(kept);
        }
    }

    private Tensor Ids(int[] ids) => tensor(ids).to(int64).view(_options.BatchSize, _options.Context);
}
