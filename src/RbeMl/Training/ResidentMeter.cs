namespace RbeMl.Training;

/// <summary>Resident memory of the process for a progress report. Asking the system costs a file read and garbage; once a second is enough.</summary>
internal struct ResidentMeter
{
    private long _bytes;
    private long _read;

    /// <summary>Bytes, as they were at most a second ago.</summary>
    public long Read()
    {
        long now = Environment.TickCount64;
        if (_bytes == 0 || now - _read >= 1000) (_bytes, _read) = (Environment.WorkingSet, now);
        return _bytes;
    }
}
