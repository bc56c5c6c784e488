using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Layers;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>The getters of a row or cursor of a <see cref="FaultyTransformer"/>; both new columns are computed at a time, once a position.</summary>
internal sealed class FaultyGetters(DataViewRow inner, FaultyTransformer parent, DataViewSchema schema, HashSet<int> active, bool isMapped)
{
    private readonly int _thread = Environment.CurrentManagedThreadId;
    private readonly float[] _first = new float[3];
    private readonly float[] _second = new float[3];
    private ValueGetter<VBuffer<float>>? _firstGetter;
    private ValueGetter<VBuffer<float>>? _secondGetter;
    private VBuffer<float> _buffer;
    private long _position = -1;
    private int _calls;
    private bool _isFirstRead;

    private Fault Fault => parent.Fault;

    private int Inputs => schema.Count - 2;

    public bool IsActive(DataViewSchema.Column column) => Fault == Fault.ClaimsAllActive || active.Contains(column.Index);

    public ValueGetter<T> Get<T>(DataViewSchema.Column column)
    {
        bool isNew = column.Index >= Inputs;
        if (!active.Contains(column.Index) && !(isNew && Fault == Fault.InactiveGetterWorks && !isMapped))
            throw Fault == Fault.InactiveIsArgumentError
                ? new ArgumentException(column.Name)
                : new InvalidOperationException($"'{column.Name}' is inactive");
        if (!isNew) return inner.GetGetter<T>(inner.Schema[column.Index]);
        _firstGetter ??= inner.GetGetter<VBuffer<float>>(inner.Schema[Inputs]);
        _secondGetter ??= inner.GetGetter<VBuffer<float>>(inner.Schema[Inputs + 1]);
        Delegate getter = Getter(column.Index == Inputs);
        if (Fault == Fault.WrongTypeIsCastError) return (ValueGetter<T>)getter;
        if (Fault == Fault.WrongTypeIsNull) return (getter as ValueGetter<T>)!;
        return getter as ValueGetter<T> ?? throw new InvalidOperationException($"'{column.Name}' is not of {typeof(T)}");
    }

    private ValueGetter<VBuffer<float>> Getter(bool isFirst) => (ref VBuffer<float> value) =>
    {
        Compute();
        float[] result = isFirst ? _first : _second;
        if (Fault == Fault.SharesBuffer)
        {
            value = new VBuffer<float>(result.Length, result);
            return;
        }

        if (Fault == Fault.ThreadsShareScratch)
        {
            result.CopyTo(parent.Shared, 0);
            Thread.Sleep(1);
            result = parent.Shared;
        }

        int length = Fault == Fault.KeepsLongDestination ? Math.Max(value.Length, result.Length) : result.Length;
        float before = Fault == Fault.AddsToDestination && value.Length == length && value.IsDense ? value.GetValues()[0] : 0;
        VBufferEditor<float> editor = VBufferEditor.Create(ref value, length);
        result.CopyTo(editor.Values);
        editor.Values[0] += before + Error(isFirst);
        value = editor.Commit();
        _isFirstRead |= isFirst;
    };

    // What the first slot is wrong by.
    private float Error(bool isFirst)
    {
        bool isWrong = Fault switch
        {
            Fault.CursorsShareCounter => !isMapped && parent.Moves != inner.Position + 1,
            Fault.NeedsOtherColumnActive => active.Count == 1,
            Fault.SecondCallDiffers => _calls++ > 0,
            Fault.CountsCalls => !isMapped && isFirst && _calls++ != inner.Position,
            Fault.OrderMatters => !isFirst && active.Contains(Inputs) && !_isFirstRead,
            Fault.MapperDiffers => isMapped,
            Fault.DisposeBreaks => parent.IsDisposed,
            Fault.BelongsToThread => _thread != Environment.CurrentManagedThreadId,
            _ => false,
        };
        return isWrong ? 1 : 0;
    }

    private static ParameterVector<float> NativeMemory()
    {
        ParameterVector<float> vector = new();
        vector.Add("kept", ParameterKind.Bias, new float[2]);
        vector.Freeze();
        return vector;
    }

    private void Compute()
    {
        if (Fault == Fault.ComputesTwice) FaultyEstimator.Forwards++;
        if (_position == inner.Position || (Fault == Fault.MapperKeepsFirstRow && isMapped && _position >= 0)) return;
        _position = inner.Position;
        (_calls, _isFirstRead) = (Fault == Fault.CountsCalls ? _calls : 0, false);
        if (Fault is not (Fault.CountsNothing or Fault.ComputesTwice)) FaultyEstimator.Forwards++;
        _firstGetter!(ref _buffer);
        _buffer.CopyTo(_first);
        _secondGetter!(ref _buffer);
        _buffer.CopyTo(_second);
        if (Fault == Fault.KeepsEveryRow) parent.Kept.Add(new byte[8]);
        if (Fault == Fault.KeepsNativeMemory) parent.Kept.Add(NativeMemory());
        if (Fault != Fault.CachesByPosition || isMapped) return;
        if (!parent.ByPosition.TryAdd(_position, ([.. _first], [.. _second])))
        {
            parent.ByPosition[_position].First.CopyTo(_first, 0);
            parent.ByPosition[_position].Second.CopyTo(_second, 0);
        }
    }
}
