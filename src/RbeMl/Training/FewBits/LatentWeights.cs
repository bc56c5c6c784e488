using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>
/// Floats behind weights of a few bits: the optimiser changes these, and the model computes with them rounded to what format
/// <see cref="QuantizedFormat"/> can hold. The gradient of a rounded weight is taken for that of its float. Only coefficients of matrices
/// that map activations are rounded; all else is the same in both.
/// </summary>
internal sealed unsafe class LatentWeights : ITrainingPart, IDisposable
{
    private const string Key = "values";
    private readonly TransformerModel<float> _model;
    private readonly WorkerPool _workers;
    private readonly Matrix[] _matrices;
    private readonly (int Matrix, int Tile)[] _tiles;
    private readonly ParameterSlice[] _others;

    /// <summary>Takes the model's weights for the floats, and rounds the model's.</summary>
    /// <param name="model">The model; its weights change.</param>
    /// <param name="bits">2 .. 8 of a slice.</param>
    /// <param name="workers">Threads.</param>
    /// <exception cref="InvalidSettingException">A matrix has not all of its coefficients and nothing else.</exception>
    public LatentWeights(TransformerModel<float> model, Func<ParameterSlice, int> bits, WorkerPool workers)
    {
        _model = model;
        _workers = workers;
        Require(model);
        _matrices = [.. model.Parameters.Slices.Where(slice => slice.Matrix is not null).Select(slice => new Matrix(slice, bits(slice)))];
        _tiles = [.. _matrices.SelectMany((matrix, m) => Enumerable.Range(0, matrix.Support.TileCount).Select(t => (m, t)))];
        _others = [.. model.Parameters.Slices.Where(slice => slice.Matrix is null)];
        Values = model.Parameters.CreateLike();
        Values.CopyFrom(model.Parameters);
        Round();
    }

    /// <summary>The floats.</summary>
    public ParameterVector<float> Values { get; }

    /// <summary>Bytes beside the parameters of a model.</summary>
    /// <param name="parameters">Its parameters.</param>
    public static long BytesOf(ParameterVector<float> parameters) =>
        (parameters.Length * sizeof(float))
            + (parameters.Slices.Where(slice => slice.Matrix is not null).Sum(slice => (long)slice.Length) / GridKernel.Group * sizeof(ushort));

    /// <summary>Requires matrices that can be trained at few bits.</summary>
    /// <exception cref="InvalidSettingException">A matrix has not all of its coefficients and nothing else.</exception>
    public static void Require(TransformerModel<float> model)
    {
        foreach (RbeTransformerBlock<float> block in model.Blocks)
        {
            foreach (RbeLinear<float> linear in block.Linears)
            {
                RbeStructure? matrix = linear.Coefficients?.Matrix;
                if (matrix is { Base: null, Support: { } support } && linear.Alphas is null
                    && support.CoefficientsPerTile == matrix.Tile * matrix.Tile) continue;
                throw new InvalidSettingException(nameof(TrainerOptions.TrainBits), linear.Name,
                    "few bits are trained of matrices that keep all coefficients, without alphas: create the model with RbeFormat.Sparse(Tile * Tile) "
                        + "and Alphas = false, or leave it out.");
            }
        }
    }

    /// <summary>The model's weights from the floats; the same bits for any number of threads.</summary>
    public void Round()
    {
        using Hold from = Values.Lease.Share(), to = _model.Parameters.Lease.Share();
        RoundWork work = new(this);
        _workers.For(_tiles.Length, ref work);
        foreach (ParameterSlice slice in _others) Values.Of(slice).CopyTo(_model.Parameters.Of(slice));
    }

    /// <summary>The model's weights as they are stored and served: matrices in format <see cref="QuantizedFormat"/>, their values those of the model.</summary>
    public TransformerWeights GetWeights()
    {
        TransformerWeights weights = _model.GetWeights();
        return weights with { Blocks = [.. weights.Blocks.Select((block, b) => BlockWeights.From(m => Coded(block.MatrixAt(m), b, m), block.Vectors))] };
    }

    /// <inheritdoc/>
    public void Save(StateWriter state) => state.Add(Key, Values);

    /// <inheritdoc/>
    public void Load(StateReader state)
    {
        state.Read(Key, Values);
        state.Then(Round);
    }

    /// <inheritdoc/>
    public void Dispose() => Values.Dispose();

    private RbeMatrix Coded(RbeMatrix matrix, int block, BlockMatrix which)
    {
        ParameterSlice slice = _model.Blocks[block].Linears[(int)which].Coefficients!;
        Matrix own = _matrices.Single(each => each.Slice == slice);
        int area = own.Area, bits = own.Bits, groups = area / GridKernel.Group;
        float[] values = new float[area];
        byte[] codes = new byte[area], packed = new byte[checked(matrix.TileCount * (area * bits / 8))];
        for (int t = 0; t < matrix.TileCount; t++)
        {
            for (int i = 0; i < area; i++) values[own.Places[i]] = matrix.Coefficients[(t * area) + i];
            for (int g = 0; g < groups; g++)
            {
                Range group = (g * GridKernel.Group)..((g + 1) * GridKernel.Group);
                ReferenceGrid.Assign(values.AsSpan(group), own.Scales[(t * groups) + g], bits, codes.AsSpan(group));
            }

            BitPacking.Pack(codes, bits, packed.AsSpan(t * (area * bits / 8), area * bits / 8));
        }

        QuantizedTiles tiles = new(matrix.Tile, matrix.TileCount, bits, own.Scales, packed);
        return new RbeMatrix(matrix.Rows, matrix.Columns, matrix.Tile, matrix.Transform, [], null, [], tiles, new QuantizedFormat(bits));
    }

    private readonly struct RoundWork(LatentWeights latent) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            (int m, int t) = latent._tiles[item];
            Matrix matrix = latent._matrices[m];
            int area = matrix.Area, groups = area / GridKernel.Group;
            float* from = latent.Values.At(matrix.Slice) + ((long)t * area), to = latent._model.Parameters.At(matrix.Slice) + ((long)t * area);
            float* rows = stackalloc float[area]; // at most 64 KiB
            for (int i = 0; i < area; i++) rows[matrix.Places[i]] = from[i];
            fixed (Half* scales = matrix.Scales) GridKernel.Round(rows, rows, scales + (t * groups), groups, matrix.Bits);
            for (int i = 0; i < area; i++) to[i] = rows[matrix.Places[i]];
        }
    }

    /// <summary>A matrix that is rounded.</summary>
    private sealed class Matrix(ParameterSlice slice, int bits)
    {
        public int Bits { get; } = bits;

        public ParameterSlice Slice { get; } = slice;

        public CoefficientSupport Support { get; } = slice.Matrix!.Support!;

        public int Area { get; } = slice.Matrix!.Tile * slice.Matrix.Tile;

        /// <summary>Row * B + column of each coefficient; the same in all tiles, as all are kept.</summary>
        public ushort[] Places { get; } =
            [.. Enumerable.Range(0, slice.Matrix!.Tile * slice.Matrix.Tile).Select(i => (ushort)slice.Matrix.Support!.PositionOf(0, i))];

        /// <summary>[tile][group of 64 along the rows].</summary>
        public Half[] Scales { get; } = new Half[slice.Length / GridKernel.Group];
    }
}
